"""Measure what becomes of messages: workload in, ledger of what happened, frames out."""

from rmqlab.measure._frames import Run, Runs
from rmqlab.measure._ledger import Entry, Ledger
from rmqlab.measure._run import run_each, run_workload
from rmqlab.measure._workload import Job, Workload, load_workload

__all__ = ["Entry", "Job", "Ledger", "Run", "Runs", "Workload", "load_workload", "run_each", "run_workload"]
