"""What stands behind the '?' of an AMQP URL: options of pika's URLParameters, looked at one by one.

pika's own errors show the value, which may be a secret, or are those of the file system.
"""

from __future__ import annotations

import ast
import re
from collections import Counter
from pathlib import Path
from urllib.parse import parse_qsl, urlencode

import pika

PREFIX = "_set_url_"
KNOWN = sorted(name.removeprefix(PREFIX) for name in dir(pika.URLParameters) if name.startswith(PREFIX))
# In pika's `ssl_options`; the second of each pair is another name for the same.
CA = ("ca_certs", "cafile", "ca_path", "capath", "ca_data", "cadata")
ENCRYPTED = b"ENCRYPTED"


def find_problem(scheme: str, query: str) -> str:
    """Return what is wrong with the options of a URL, and the next step; empty if nothing is.

    Source: https://pika.readthedocs.io/en/stable/modules/parameters.html
    """
    options = parse_qsl(query, keep_blank_values=True)
    counts = Counter(name for name, _ in options)
    for name, value in options:
        if name not in KNOWN:  # it may be a piece of a secret
            shown = f"the option {name}" if re.fullmatch("[a-z_]+", name) else "an option"
            return f"{shown}, which pika does not take. Next: use one of {', '.join(KNOWN)}"
        if name == "ssl_options" and value and (problem := _find_tls_problem(scheme, value)):
            return f"ssl_options {problem}"
        if not value or counts[name] > 1 or _refusal_of_pika(scheme, name, value):
            return f"the option {name} without one value that pika takes. Next: correct it, or leave it out"
    return ""


def _find_tls_problem(scheme: str, value: str) -> str:
    try:
        options = ast.literal_eval(value)
    except Exception:  # whatever Python's parser raises
        options = None
    if not isinstance(options, dict):
        return "that are no dict. Next: write them as {'ca_certs': '/path/of/ca.pem'}, percent-encoded"
    if scheme != "amqps":
        return "and no TLS. Next: write amqps:// for TLS, or leave them out"
    if not any(options.get(name) for name in CA):
        return "without a CA. Next: give the file of the CA as ca_certs"
    # OpenSSL would ask for the password of a key on the terminal, and wait.
    if "password" not in options and _is_encrypted(options.get("keyfile") or options.get("certfile")):
        return "with an encrypted key and no password. Next: give its password, or a key without one"
    if error := _refusal_of_pika(scheme, "ssl_options", value):
        # OpenSSL's, as `NO_CERTIFICATE_OR_CRL_FOUND`, or the file system's.
        reason = getattr(error, "reason", None) or getattr(error, "strerror", None)
        why = f" ({reason})" if reason else ""
        return f"that cannot be used{why}. Next: see that each file is there, and in PEM format"
    return ""


def _is_encrypted(key: object) -> bool:
    try:
        return isinstance(key, str) and ENCRYPTED in Path(key).read_bytes()
    except OSError:  # pika tells
        return False


def _refusal_of_pika(scheme: str, name: str, value: str) -> Exception | None:
    try:
        pika.URLParameters(f"{scheme}://localhost/?{urlencode({name: value})}")
    except Exception as error:  # pika lets through what its checks, Python's parser and OpenSSL raise
        return error
    return None
