from ._exercise import check_answer
from ._result import Result
from ._run_when import run_when
from .acknowledgement import AckBatchesConfig, measure_ack_batches
from .broadcast import BroadcastConfig, Subscriber, run_broadcast
from .clients.compare import ClientsConfig, compare_clients
from .clients.figures import plot_clients
from .confirms import ConfirmsConfig, measure_confirms
from .connections import ConnectionsConfig, measure_connections
from .durability import DurabilityConfig, measure_durability
from .exits import ExitsConfig, observe_exits
from .failing_work import capture_failures, crash_after, crash_before
from .faults.figures import plot_faults
from .faults.matrix import FaultsConfig, break_everything
from .heartbeat import HeartbeatConfig, measure_partition_detection
from .prefetch import PrefetchConfig, consume_load, round_trip_ms
from .priority import compare_waits
from .recovery import RecoveryConfig, run_with_faults
from .routing import table_of_keys
from .versions import VersionsConfig, observe_versions, plot_versions
from .workers import WorkloadConfig, run_workload
from .workload import Workload, load_workload, make_workload

__all__ = [
    "AckBatchesConfig",
    "BroadcastConfig",
    "ClientsConfig",
    "ConfirmsConfig",
    "ConnectionsConfig",
    "DurabilityConfig",
    "ExitsConfig",
    "FaultsConfig",
    "HeartbeatConfig",
    "PrefetchConfig",
    "RecoveryConfig",
    "Result",
    "Subscriber",
    "VersionsConfig",
    "Workload",
    "WorkloadConfig",
    "break_everything",
    "capture_failures",
    "check_answer",
    "compare_clients",
    "compare_waits",
    "consume_load",
    "crash_after",
    "crash_before",
    "load_workload",
    "make_workload",
    "measure_ack_batches",
    "measure_confirms",
    "measure_connections",
    "measure_durability",
    "measure_partition_detection",
    "observe_exits",
    "observe_versions",
    "plot_clients",
    "plot_faults",
    "plot_versions",
    "round_trip_ms",
    "run_broadcast",
    "run_when",
    "run_with_faults",
    "run_workload",
    "table_of_keys",
]
