"""Why a TLS connection could not be made, in one sentence, and what to do about it."""

from __future__ import annotations

import re
import ssl

# OpenSSL's numbers of what is wrong with a certificate.
NOT_YET_VALID, EXPIRED = 9, 10
WRONG_HOST, WRONG_ADDRESS = 62, 64
# What a server answers that wants a certificate of ours: TLS 1.3 names it, 1.2 does not.
CERTIFICATE_WANTED = re.compile("CERTIFICATE_REQUIRED|HANDSHAKE_FAILURE")
CERTIFICATE_REFUSED = re.compile("ALERT_(UNKNOWN_CA|BAD_CERT|CERTIFICATE_|UNSUPPORTED_CERT|ACCESS_DENIED)")
NO_TLS = re.compile("WRONG_VERSION_NUMBER|UNKNOWN_PROTOCOL|HTTP_REQUEST|RECORD_LAYER_FAILURE")
# pika gives some reasons as a text only.
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
    if isinstance(error, ssl.SSLCertVerificationError):
        return True
    return bool(CERTIFICATE_WANTED.search(_reason(error)) or CERTIFICATE_REFUSED.search(_reason(error)))


def explain(error: ssl.SSLError, who: str, *, setting: str) -> str:
    """Return the reason and the next step.

    Args:
        error: what was raised.
        who: the server: "the broker at localhost:5671".
        setting: the setting with the AMQP URL, whose `ssl_options` hold the certificates.

    Source: https://www.rabbitmq.com/docs/troubleshooting-ssl
    """
    options = f"in the ssl_options of {setting}"
    reason = _reason(error)
    if isinstance(error, ssl.SSLCertVerificationError):
        return _explain_certificate(error, who, options)
    server = who[:1].upper() + who[1:]
    if CERTIFICATE_WANTED.search(reason):
        return f"{server} wants a certificate of ours. Next: give certfile and keyfile {options}"
    if CERTIFICATE_REFUSED.search(reason):
        return f"{server} refuses our certificate ({reason}). Next: correct certfile and keyfile {options}"
    if NO_TLS.search(reason):
        return f"{server} does not speak TLS. Next: correct the scheme or the port"
    if "EOF" in reason:  # a server that wants a certificate need not say so before it goes
        return (
            f"{server} ended the TLS connection at once. Next: give certfile and keyfile {options}, "
            "if it wants a certificate of ours, or correct the port"
        )
    return (
        f"No TLS connection to {who} could be made ({reason}). Next: correct the port, or what is {options}"
    )


def _reason(error: ssl.SSLError) -> str:
    return str(getattr(error, "reason", None) or error.args[-1]).replace(" ", "_").upper()


def _explain_certificate(error: ssl.SSLCertVerificationError, who: str, options: str) -> str:
    if error.verify_code in (EXPIRED, NOT_YET_VALID):
        when = "has expired" if error.verify_code == EXPIRED else "is not valid yet"
        return f"The certificate of {who} {when}. Next: renew it there, or correct this machine's clock"
    if error.verify_code in (WRONG_HOST, WRONG_ADDRESS):
        return (
            f"The certificate of {who} is for another host. Next: connect by a name that it holds, "
            f"or give that name as server_hostname {options}"
        )
    return (
        f"The certificate of {who} is not signed by a CA that is trusted here "
        f"({error.verify_message}). Next: give its CA as ca_certs {options}"
    )
