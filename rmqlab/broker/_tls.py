"""Why a TLS connection could not be made, in one sentence, and what to do about it."""

from __future__ import annotations

import re
import ssl

from rmqlab.broker._address import capitalized

# What to do, by OpenSSL's numbers of what is wrong with a certificate.
WRONG_TIME = "renew it there, or correct this machine's clock"
WRONG_HOST = "connect by a name that it holds, or give that name as server_hostname {options}"
OTHER_CA = "give its CA as ca_certs {options}"
ADVICE = {9: WRONG_TIME, 10: WRONG_TIME, 62: WRONG_HOST, 64: WRONG_HOST}
# What a server answers that does not accept our certificate, or wants one: TLS 1.3 says which, 1.2 does not.
REFUSAL = re.compile(
    "CERTIFICATE_REQUIRED|HANDSHAKE_FAILURE"
    "|ALERT_(UNKNOWN_CA|BAD_CERT|CERTIFICATE_|UNSUPPORTED_CERT|ACCESS_DENIED)"
)
# pika gives some reasons as a string only.
AS_TEXT = re.compile(r"\[SSL: (\w+)\]|SSL(EOF)Error")


def find_error(error: BaseException) -> ssl.SSLError | None:
    """Return the error of TLS that is behind another one, if there is one."""
    behind = _chain(error)
    for each in behind:
        if isinstance(each, ssl.SSLError):
            return each
    # Only now: the text of an error may repeat what a better one behind it says.
    reasons = (AS_TEXT.search(str(each)) for each in behind)
    return next((ssl.SSLError(1, found[1] or found[2]) for found in reasons if found), None)


def _chain(error: BaseException) -> list[BaseException]:
    """Return an error and all that are behind it: pika's hold theirs in several places."""
    seen: list[BaseException] = []
    waiting: list[object] = [error]
    while waiting:
        each = waiting.pop()
        if isinstance(each, BaseException) and not any(each is known for known in seen):
            seen.append(each)
            waiting += [each.__cause__, each.__context__, getattr(each, "exception", None), *each.args]
            waiting += getattr(each, "exceptions", ())
    return seen


def is_refusal(error: ssl.SSLError) -> bool:
    """Return True if a side does not accept the other's certificate: no other attempt will do better."""
    return isinstance(error, ssl.SSLCertVerificationError) or bool(REFUSAL.search(_reason(error)))


def explain(error: ssl.SSLError, who: str, *, setting: str) -> str:
    """Return the reason and the next step; `who` is the server, `setting` what holds the AMQP URL.

    Source: https://www.rabbitmq.com/docs/troubleshooting-ssl
    """
    options = f"in the ssl_options of {setting}"
    if isinstance(error, ssl.SSLCertVerificationError):
        advice = ADVICE.get(error.verify_code, OTHER_CA).format(options=options)
        return (
            f"The certificate of {who} is not accepted ({error.verify_message.rstrip('.')}). Next: {advice}"
        )
    return (
        f"{capitalized(who)} has no TLS connection for us ({_reason(error)}). Next: correct the scheme or "
        f"the port, or, if it wants a certificate, give certfile and keyfile {options}"
    )


def _reason(error: ssl.SSLError) -> str:
    return str(getattr(error, "reason", None) or error.args[-1]).replace(" ", "_").upper()
