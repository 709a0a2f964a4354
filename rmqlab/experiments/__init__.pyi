from ._acknowledgement import crash_consumer
from ._acknowledgement_figures import plot_ack_batches, plot_fates, plot_poison
from ._broadcast import run_broadcast
from ._broadcast_figures import plot_attendance, plot_backlog, plot_spread
from ._broadcast_frames import Broadcast, Subscriber
from ._confirms import publish_for
from ._durability import measure_durability
from ._durability_figures import plot_confirm_cost, plot_survival
from ._exits import observe_exits
from ._failing_work import Failures, capture_failures, crash_after, crash_before
from ._gantt import plot_gantt
from ._heartbeat import measure_partition_detection
from ._prefetch import consume_load, round_trip_ms
from ._prefetch_figures import plot_fairness_and_rate, plot_rates, plot_sharing
from ._priority import compare_waits, waits_by_priority
from ._priority_figures import plot_waits_by_design, plot_waits_over_day
from ._recovery import FaultRun, run_with_faults
from ._recovery_figures import plot_outages, plot_recoveries
from ._result import Result
from ._routing import route_workload, table_of_keys
from ._run_when import run_when
from ._workers import publish_task, run_each, run_workload
from ._workers_figures import plot_depth, plot_speedup
from ._workers_frames import Run, Runs
from ._workload import Job, Workload, load_workload, make_workload
from .clients.compare import ClientsConfig, compare_clients
from .clients.figures import plot_clients
from .connections import ConnectionsConfig, measure_connections
from .faults.figures import plot_faults
from .faults.matrix import FaultsConfig, break_everything
from .versions import VersionsConfig, observe_versions
from .versions_figures import plot_versions

__all__ = [
    "Broadcast",
    "ClientsConfig",
    "ConnectionsConfig",
    "Failures",
    "FaultRun",
    "FaultsConfig",
    "Job",
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
    "measure_connections",
    "measure_durability",
    "measure_partition_detection",
    "observe_exits",
    "observe_versions",
    "plot_ack_batches",
    "plot_attendance",
    "plot_backlog",
    "plot_clients",
    "plot_confirm_cost",
    "plot_depth",
    "plot_fairness_and_rate",
    "plot_fates",
    "plot_faults",
    "plot_gantt",
    "plot_outages",
    "plot_poison",
    "plot_rates",
    "plot_recoveries",
    "plot_sharing",
    "plot_speedup",
    "plot_spread",
    "plot_survival",
    "plot_versions",
    "plot_waits_by_design",
    "plot_waits_over_day",
    "publish_for",
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
