"""The instrument: load in, a ledger of what happened to each message, frames out."""

from rmqlab.measure._header import by_message_id
from rmqlab.measure._ledger import Ledger
from rmqlab.measure._load import ConstantDuration, Load, ParetoDuration, publish_load
from rmqlab.measure._reference import compare_to_reference, read_reference
from rmqlab.measure._report import Report, jain_index, provenance, summarize_repeats

__all__ = [
    "ConstantDuration",
    "Ledger",
    "Load",
    "ParetoDuration",
    "Report",
    "by_message_id",
    "compare_to_reference",
    "jain_index",
    "provenance",
    "publish_load",
    "read_reference",
    "summarize_repeats",
]
