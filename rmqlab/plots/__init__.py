"""Frames in, matplotlib figures out.

Each function returns a figure that is not pyplot's any more: a notebook shows it once, as
the value of its cell, and it is freed when nobody holds it.
"""

from rmqlab.plots._broadcast import plot_attendance, plot_backlog, plot_spread
from rmqlab.plots._gantt import plot_gantt
from rmqlab.plots._outage import plot_outages, plot_recoveries
from rmqlab.plots._prefetch import plot_fairness_and_rate, plot_rates, plot_sharing
from rmqlab.plots._redelivery import plot_ack_batches, plot_fates, plot_poison
from rmqlab.plots._survival import plot_confirm_cost, plot_survival
from rmqlab.plots._waiting import plot_waits_by_design, plot_waits_over_day
from rmqlab.plots._workers import plot_depth, plot_speedup

__all__ = [
    "plot_ack_batches",
    "plot_attendance",
    "plot_backlog",
    "plot_confirm_cost",
    "plot_depth",
    "plot_fairness_and_rate",
    "plot_fates",
    "plot_gantt",
    "plot_outages",
    "plot_poison",
    "plot_rates",
    "plot_recoveries",
    "plot_sharing",
    "plot_speedup",
    "plot_spread",
    "plot_survival",
    "plot_waits_by_design",
    "plot_waits_over_day",
]
