"""Measure what becomes of messages: workload in, ledger of what happened, frames out."""

from rmqlab.measure._account import Account, Balance, Totals
from rmqlab.measure._acks import crash_consumer
from rmqlab.measure._broadcast import Broadcast, Subscriber, run_broadcast
from rmqlab.measure._confirms import publish_for
from rmqlab.measure._fan_out import fan_out
from rmqlab.measure._faulty import Failures, crash_after, crash_before, quiet_failures
from rmqlab.measure._frames import Run, Runs, compare_runs, compare_tasks
from rmqlab.measure._grid import run_grid, summarize_repeats
from rmqlab.measure._header import Identify, by_header, by_message_id
from rmqlab.measure._ledger import Ledger
from rmqlab.measure._load import (
    ConstantDuration,
    ConstantRate,
    Durations,
    ExponentialDuration,
    Load,
    ParetoDuration,
    PoissonRate,
    Rate,
    Unlimited,
    publish_load,
    published_ns,
)
from rmqlab.measure._outage import Endured, notice_cut, run_through, try_programs
from rmqlab.measure._prefetch import (
    consume_load,
    deliveries_of,
    round_trip_ms,
    sharing,
    sharing_by_worker,
)
from rmqlab.measure._recorders import ConsumeRecorder, PublishRecorder
from rmqlab.measure._reference import beside_reference
from rmqlab.measure._report import Report, jain_index, provenance
from rmqlab.measure._routing import route_workload, table_of_keys
from rmqlab.measure._run import publish_task, run_each, run_workload
from rmqlab.measure._survival import count_survivors, meanwhile
from rmqlab.measure._waiting import compare_waits, waits_by_priority
from rmqlab.measure._workload import Job, Workload, load_workload, make_workload

__all__ = [
    "Account",
    "Balance",
    "Broadcast",
    "ConstantDuration",
    "ConstantRate",
    "ConsumeRecorder",
    "Durations",
    "Endured",
    "ExponentialDuration",
    "Failures",
    "Identify",
    "Job",
    "Ledger",
    "Load",
    "ParetoDuration",
    "PoissonRate",
    "PublishRecorder",
    "Rate",
    "Report",
    "Run",
    "Runs",
    "Subscriber",
    "Totals",
    "Unlimited",
    "Workload",
    "beside_reference",
    "by_header",
    "by_message_id",
    "compare_runs",
    "compare_tasks",
    "compare_waits",
    "consume_load",
    "count_survivors",
    "crash_after",
    "crash_before",
    "crash_consumer",
    "deliveries_of",
    "fan_out",
    "jain_index",
    "load_workload",
    "make_workload",
    "meanwhile",
    "notice_cut",
    "provenance",
    "publish_for",
    "publish_load",
    "publish_task",
    "published_ns",
    "quiet_failures",
    "round_trip_ms",
    "route_workload",
    "run_broadcast",
    "run_each",
    "run_grid",
    "run_through",
    "run_workload",
    "sharing",
    "sharing_by_worker",
    "summarize_repeats",
    "table_of_keys",
    "try_programs",
    "waits_by_priority",
]
