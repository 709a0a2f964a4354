"""Who takes part: each library in the fastest ways that its documentation gives."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from rmqlab.experiments.clients import _aio_pika, _amqpstorm, _pika, _py_amqp, _rmqlab
from rmqlab.experiments.clients._model import AIO_PIKA, AMQPSTORM, PIKA, PY_AMQP, RMQLAB, Variant

logger = logging.getLogger("rmqlab.experiments.clients")

_PUBLISHERS = (
    ("pika BlockingConnection, confirm each", PIKA, _pika.publish_confirm_each),
    ("pika SelectConnection, window", PIKA, _pika.publish_window),
    ("aio-pika, window", AIO_PIKA, _aio_pika.publish_window),
    ("py-amqp, confirm each", PY_AMQP, _py_amqp.publish_confirm_each),
    ("py-amqp, window", PY_AMQP, _py_amqp.publish_window),
    ("amqpstorm, confirm each", AMQPSTORM, _amqpstorm.publish_confirm_each),
    ("rmqlab publish, confirm each", RMQLAB, _rmqlab.publish_confirm_each),
    ("rmqlab publish, window", RMQLAB, _rmqlab.publish_window),
    ("rmqlab publish_all, window", RMQLAB, _rmqlab.publish_all),
)
_CONSUMERS = (
    ("pika BlockingConnection", PIKA, _pika.consume),
    ("aio-pika", AIO_PIKA, _aio_pika.consume),
    ("py-amqp", PY_AMQP, _py_amqp.consume),
    ("amqpstorm", AMQPSTORM, _amqpstorm.consume),
    ("rmqlab", RMQLAB, _rmqlab.consume),
)
VARIANTS = (
    *(Variant("publish", *each, is_baseline=each is _PUBLISHERS[0]) for each in _PUBLISHERS),
    *(Variant("consume", *each, is_baseline=each is _CONSUMERS[0]) for each in _CONSUMERS),
)


def choose_variants(names: Sequence[str]) -> tuple[tuple[Variant, ...], tuple[str, ...]]:
    """Return the variants of these names whose library is installed, and the libraries that are not.

    Args:
        names: names of variants; all if empty. The baseline of a role is always among its variants.

    Raises:
        ValueError: there is no such variant.
    """
    for name in names:
        if name not in {each.name for each in VARIANTS}:
            choice = ", ".join(repr(each.name) for each in VARIANTS)
            raise ValueError(f"There is no variant {name!r}. Next: name some of {choice}, or none")
    named = [each for each in VARIANTS if not names or each.name in names]
    roles = {each.role for each in named}
    chosen = [each for each in VARIANTS if each in named or (each.is_baseline and each.role in roles)]
    missing = tuple(sorted({each.library.name for each in chosen if each.library.version is None}))
    if missing:
        logger.warning(
            "Left out, as not installed: %s. Next: pip install 'rmqlab[bench]'", ", ".join(missing)
        )
    return tuple(each for each in chosen if each.library.name not in missing), missing
