from ._broadcast import run_broadcast
from ._broadcast_figures import plot_attendance, plot_backlog, plot_spread
from ._broadcast_frames import Broadcast, Subscriber
from ._confirms import publish_for
from ._durability import measure_durability
from ._durability_figures import plot_confirm_cost, plot_survival
from ._exits import observe_exits
from ._heartbeat import measure_partition_detection
from ._prefetch import consume_load, round_trip_ms
from ._prefetch_figures import plot_fairness_and_rate, plot_rates
from ._recovery import FaultRun, run_with_faults
from ._recovery_figures import plot_outages, plot_recoveries
from ._result import Result
from ._run_when import run_when
from .acknowledgement import AckBatchesConfig, measure_ack_batches
from .clients._compare import ClientsConfig, compare_clients
from .clients._figures import plot_clients
from .failing_work import Failures, capture_failures, crash_after, crash_before
from .faults._figures import plot_faults
from .faults._matrix import FaultsConfig, break_everything
from .priority import compare_waits
from .routing import RoutingConfig, route_workload, table_of_keys
from .workers import WorkloadConfig, run_workload
from .workload import Job, Workload, load_workload, make_workload

__all__ = [
    "AckBatchesConfig",
    "Broadcast",
    "ClientsConfig",
    "Failures",
    "FaultRun",
    "FaultsConfig",
    "Job",
    "Result",
    "RoutingConfig",
    "Subscriber",
    "Workload",
    "WorkloadConfig",
    "break_everything",
    "capture_failures",
    "compare_clients",
    "compare_waits",
    "consume_load",
    "crash_after",
    "crash_before",
    "load_workload",
    "make_workload",
    "measure_ack_batches",
    "measure_durability",
    "measure_partition_detection",
    "observe_exits",
    "plot_attendance",
    "plot_backlog",
    "plot_clients",
    "plot_confirm_cost",
    "plot_fairness_and_rate",
    "plot_faults",
    "plot_outages",
    "plot_rates",
    "plot_recoveries",
    "plot_spread",
    "plot_survival",
    "publish_for",
    "round_trip_ms",
    "route_workload",
    "run_broadcast",
    "run_when",
    "run_with_faults",
    "run_workload",
    "table_of_keys",
]
