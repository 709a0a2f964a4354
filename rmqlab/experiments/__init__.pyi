from ._acknowledgement import crash_consumer
from ._acknowledgement_figures import plot_ack_batches, plot_fates, plot_poison
from ._failing_work import Failures, capture_failures, crash_after, crash_before
from ._gantt import plot_gantt
from ._priority import compare_waits, waits_by_priority
from ._priority_figures import plot_waits_by_design, plot_waits_over_day
from ._result import Result
from ._routing import route_workload, table_of_keys
from ._run_when import run_when
from ._workers import publish_task, run_each, run_workload
from ._workers_figures import plot_depth, plot_speedup
from ._workers_frames import Run, Runs
from ._workload import Job, Workload, load_workload, make_workload
from .broadcast import BroadcastConfig, Subscriber, run_broadcast
from .clients.compare import ClientsConfig, compare_clients
from .clients.figures import plot_clients
from .confirms import ConfirmsConfig, measure_confirms
from .connections import ConnectionsConfig, measure_connections
from .durability import DurabilityConfig, measure_durability
from .exits import ExitsConfig, observe_exits
from .faults.figures import plot_faults
from .faults.matrix import FaultsConfig, break_everything
from .heartbeat import HeartbeatConfig, measure_partition_detection
from .prefetch import PrefetchConfig, consume_load, round_trip_ms
from .prefetch_figures import plot_sharing
from .recovery import RecoveryConfig, run_with_faults
from .versions import VersionsConfig, observe_versions
from .versions_figures import plot_versions

__all__ = [
    "BroadcastConfig",
    "ClientsConfig",
    "ConfirmsConfig",
    "ConnectionsConfig",
    "DurabilityConfig",
    "ExitsConfig",
    "Failures",
    "FaultsConfig",
    "HeartbeatConfig",
    "Job",
    "PrefetchConfig",
    "RecoveryConfig",
    "Result",
    "Run",
    "Runs",
    "Subscriber",
    "VersionsConfig",
    "Workload",
    "break_everything",
    "capture_failures",
    "compare_clients",
    "compare_waits",
    "consume_load",
    "crash_after",
    "crash_before",
    "crash_consumer",
    "load_workload",
    "make_workload",
    "measure_confirms",
    "measure_connections",
    "measure_durability",
    "measure_partition_detection",
    "observe_exits",
    "observe_versions",
    "plot_ack_batches",
    "plot_clients",
    "plot_depth",
    "plot_fates",
    "plot_faults",
    "plot_gantt",
    "plot_poison",
    "plot_sharing",
    "plot_speedup",
    "plot_versions",
    "plot_waits_by_design",
    "plot_waits_over_day",
    "publish_task",
    "round_trip_ms",
    "route_workload",
    "run_broadcast",
    "run_each",
    "run_when",
    "run_with_faults",
    "run_workload",
    "table_of_keys",
    "waits_by_priority",
]
