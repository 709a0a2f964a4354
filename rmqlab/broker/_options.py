"""What stands behind the '?' of an AMQP URL: options of pika's URLParameters, looked at one by one.

pika's own errors show the value, which may be a secret, or are those of the file system.
"""

from __future__ import annotations

import ast
import os
import re
from collections import Counter
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode

import pika

# In pika's `ssl_options`; the second of each pair is another name for the same.
CA_FILES, CA_FOLDERS, CA_TEXTS = ("ca_certs", "cafile"), ("ca_path", "capath"), ("ca_data", "cadata")
FILES = (*CA_FILES, *CA_FOLDERS, "certfile", "keyfile")
ENCRYPTED = b"ENCRYPTED"


def find_problem(scheme: str, query: str) -> str:
    """Return what is wrong with the options of a URL, and the next step; empty if nothing is.

    Args:
        scheme: the URL's scheme.
        query: what stands behind the '?'.

    Source: https://pika.readthedocs.io/en/stable/modules/parameters.html
    """
    options = parse_qsl(query, keep_blank_values=True)
    counts = Counter(name for name, _ in options)
    for name, value in options:
        is_name = re.fullmatch("[a-z_]+", name)  # anything else may be a piece of a secret
        shown = f"the option {name}" if is_name else "an option"
        if not is_name or not hasattr(pika.URLParameters, f"_set_url_{name}"):
            return f"{shown}, which pika does not take. Next: {_known()}"
        if not value:
            return f"{shown} without a value. Next: write {name}=… or leave it out"
        if counts[name] > 1:
            return f"{shown} more than once. Next: keep one of them"
        if name == "ssl_options":
            problem = _find_tls_problem(scheme, value)
            if problem:
                return f"ssl_options {problem}"
        else:
            try:
                pika.URLParameters(f"amqp://localhost/?{urlencode({name: value})}")
            except Exception:  # pika lets through what its checks and Python's parser raise
                return f"{shown} with a value that pika does not take. Next: correct it, or leave it out"
    return ""


def _known() -> str:
    prefix = "_set_url_"
    names = sorted(name.removeprefix(prefix) for name in dir(pika.URLParameters) if name.startswith(prefix))
    return f"use one of {', '.join(names)}"


def _find_tls_problem(scheme: str, value: str) -> str:
    if scheme != "amqps":
        return "and no TLS. Next: write amqps:// for TLS, or leave them out"
    try:
        options = ast.literal_eval(value)
    except Exception:  # whatever Python's parser raises
        options = None
    if not isinstance(options, dict):
        return "that are no dict. Next: write them as {'ca_certs': '/path/of/ca.pem'}, percent-encoded"
    for name in FILES:
        if options.get(name) and not _is_readable(options[name]):
            return f"whose {name} names nothing that can be read. Next: give the whole path of what is there"
    if not any(options.get(name) for name in (*CA_FILES, *CA_FOLDERS, *CA_TEXTS)):
        return "without a CA. Next: give the file of the CA as ca_certs"
    return _find_certificate_problem(options)


def _find_certificate_problem(options: dict[str, Any]) -> str:
    key = options.get("keyfile") or options.get("certfile")
    # OpenSSL would ask for it on the terminal, and wait.
    if key and "password" not in options and ENCRYPTED in Path(key).read_bytes():
        return "with an encrypted key and no password. Next: give its password, or a key without one"
    try:
        pika.URLParameters(f"amqps://localhost/?{urlencode({'ssl_options': str(options)})}")
    except Exception as error:
        reason = getattr(error, "reason", None)  # OpenSSL's, as `NO_CERTIFICATE_OR_CRL_FOUND`
        why = f" ({reason})" if reason else ""
        return f"that cannot be used{why}. Next: see that each file is what its name says, in PEM format"
    return ""


def _is_readable(path: Any) -> bool:
    return isinstance(path, str) and os.access(path, os.R_OK)
