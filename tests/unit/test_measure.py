"""Ledgers and the frames of runs, from entries made by hand."""

from __future__ import annotations

import pytest

from rmqlab.engine import Delivery, Task
from rmqlab.measure import Entry, Job, Ledger, Run, Runs, Workload

# Times are those of a clock that started long ago; the workers begin at 100.
STARTED_S = 100.0


def _workload(count: int) -> Workload:
    jobs = [
        Job(Task(f"engine-{number}", "process", {"recording_min": 1}), 0.0, 1.0) for number in range(count)
    ]
    return Workload(tuple(jobs), 1.0)


def _run(*entries: Entry, count: int, workers: int = 1) -> Run:
    ledger = Ledger(count)
    ledger.entries.extend(entries)
    return Run(_workload(count), ledger, "4.0.5", workers, 1, STARTED_S)


@pytest.fixture
def run() -> Run:
    """Message 0 is done at once; 1 is requeued and done by the other; 2 is rejected."""
    return _run(
        Entry(0, "published", 99.0),
        Entry(1, "published", 99.5),
        Entry(0, "delivered", 100.0, "worker-1"),
        Entry(1, "delivered", 100.5, "worker-2"),
        Entry(0, "acked", 101.0, "worker-1"),
        Entry(1, "requeued", 101.0, "worker-2"),
        Entry(2, "published", 101.0),
        Entry(1, "delivered", 101.5, "worker-1", True),
        Entry(2, "delivered", 102.0, "worker-2"),
        Entry(2, "rejected", 102.5, "worker-2"),
        Entry(1, "acked", 104.0, "worker-1", True),
        count=3,
        workers=2,
    )


def _delivery(message: int, *, redelivered: bool = False) -> Delivery:
    return Delivery(str(message), redelivered, "worker-1")


def test_a_ledger_notes_what_happens_in_order() -> None:
    ledger = Ledger(1)
    ledger.published(0)
    ledger.delivered(_delivery(0, redelivered=True))
    ledger.settled(_delivery(0, redelivered=True), "acked")

    frame = ledger.frame()
    assert list(frame.columns) == ["message", "event", "time_s", "worker", "redelivered"]
    assert list(frame["event"]) == ["published", "delivered", "acked"]
    assert list(frame["worker"]) == ["", "worker-1", "worker-1"]
    assert list(frame["redelivered"]) == [False, True, True]
    assert frame["time_s"].iloc[0] == 0
    assert frame["time_s"].is_monotonic_increasing


def test_a_ledger_is_complete_when_each_message_is_acked_or_rejected() -> None:
    ledger = Ledger(2)
    ledger.settled(_delivery(0), "acked")
    assert not ledger.complete.is_set()
    ledger.settled(_delivery(1), "rejected")

    assert ledger.complete.is_set()
    assert ledger.done == 2


def test_a_message_that_is_done_twice_counts_once() -> None:
    ledger = Ledger(2)
    ledger.settled(_delivery(0), "acked")
    ledger.settled(_delivery(0), "acked")

    assert ledger.done == 1
    assert not ledger.complete.is_set()


def test_a_requeued_message_is_not_done() -> None:
    ledger = Ledger(1)
    ledger.settled(_delivery(0), "requeued")

    assert ledger.done == 0
    assert not ledger.complete.is_set()


def test_a_ledger_without_entries_has_an_empty_frame() -> None:
    assert len(Ledger(1).frame()) == 0


def test_what_happened_at_the_same_moment_stays_in_the_order_of_the_ledger() -> None:
    ledger = Ledger(200)
    for message in range(200):
        time_s = float(message % 7)  # threads write out of order, and clocks tick coarsely
        ledger.entries += [Entry(message, "published", time_s), Entry(message, "delivered", time_s, "w")]

    events = ledger.frame().groupby("message")["event"].agg(list)

    assert all(each == ["published", "delivered"] for each in events)


def test_makespan_goes_from_the_workers_beginning_to_the_last_end(run: Run) -> None:
    assert run.makespan_s == 4.0


def test_tasks_tell_what_became_of_each(run: Run) -> None:
    tasks = run.tasks()

    assert set(tasks.columns) == {
        *("message", "engine_id", "workers", "worker", "published_s", "delivered_s", "settled_s"),
        *("wait_ms", "work_ms", "outcome", "deliveries"),
    }
    assert list(tasks["message"]) == [0, 1, 2]
    assert list(tasks["engine_id"]) == ["engine-0", "engine-1", "engine-2"]
    assert list(tasks["outcome"]) == ["acked", "acked", "rejected"]
    assert list(tasks["deliveries"]) == [1, 2, 1]
    assert list(tasks["worker"]) == ["worker-1", "worker-1", "worker-2"]
    assert set(tasks["workers"]) == {2}


def test_times_of_tasks_count_from_the_workers_beginning(run: Run) -> None:
    tasks = run.tasks()

    assert list(tasks["published_s"]) == pytest.approx([-1.0, -0.5, 1.0])
    assert list(tasks["delivered_s"]) == pytest.approx([0.0, 0.5, 2.0])
    assert list(tasks["settled_s"]) == pytest.approx([1.0, 4.0, 2.5])


def test_waiting_counts_from_the_workers_beginning_or_from_publishing_if_later(run: Run) -> None:
    tasks = run.tasks()

    assert list(tasks["wait_ms"]) == pytest.approx([0, 500, 1000])
    assert list(tasks["work_ms"]) == pytest.approx([1000, 3500, 500])


def test_a_task_that_nobody_took_is_still_a_row() -> None:
    tasks = _run(
        Entry(0, "published", 100.0),
        Entry(1, "published", 100.0),
        Entry(0, "delivered", 101.0, "worker-1"),
        Entry(0, "acked", 102.0, "worker-1"),
        count=2,
    ).tasks()

    assert list(tasks["message"]) == [0, 1]
    assert list(tasks["outcome"].isna()) == [False, True]


def test_summary_counts_what_happened(run: Run) -> None:
    summary = run.summary()

    assert list(summary.columns) == [
        *("workers", "prefetch", "published", "received", "acked", "rejected", "redelivered"),
        *("work_s", "makespan_s", "ideal_s", "rate_msg_s", "efficiency", "rabbitmq", "pika", "cores"),
    ]
    (row,) = summary.to_dict("records")
    assert (row["published"], row["received"], row["acked"], row["rejected"]) == (3, 4, 2, 1)
    assert row["redelivered"] == 1
    assert row["rabbitmq"] == "4.0.5"


def test_summary_compares_with_the_ideal(run: Run) -> None:
    (row,) = run.summary().to_dict("records")

    assert row["work_s"] == 3.0
    assert row["ideal_s"] == 1.5
    assert row["makespan_s"] == 4.0
    assert row["rate_msg_s"] == 0.5
    assert row["efficiency"] == pytest.approx(0.375)


def test_depth_follows_the_queue(run: Run) -> None:
    depth = run.depth()

    assert list(depth.columns) == ["workers", "time_s", "ready", "unacked"]
    assert list(depth["ready"]) == [1, 2, 1, 0, 0, 1, 2, 1, 0, 0, 0]
    assert list(depth["unacked"]) == [0, 0, 1, 2, 1, 0, 0, 1, 2, 1, 0]
    assert depth["time_s"].iloc[0] == -1.0


def test_depth_is_never_negative_when_all_happens_at_one_moment() -> None:
    entries = [
        entry
        for message in range(100)
        for entry in (
            Entry(message, "published", 100.0),
            Entry(message, "delivered", 100.0, "worker-1"),
            Entry(message, "acked", 100.0, "worker-1"),
        )
    ]
    depth = _run(*entries, count=100).depth()

    assert depth[["ready", "unacked"]].to_numpy().min() == 0
    assert list(depth[["ready", "unacked"]].iloc[-1]) == [0, 0]


def test_runs_put_the_frames_of_each_run_below_each_other(run: Run) -> None:
    runs = Runs((run, run))

    assert len(runs.summary()) == 2
    assert len(runs.tasks()) == 6
    assert len(runs.depth()) == 2 * len(run.depth())
    assert list(runs.tasks().index) == list(range(6))


def test_reprs_are_short_and_the_same_each_time(run: Run) -> None:
    assert repr(run) == "<Run of 3 tasks by 2 workers>"
    assert repr(Runs((run, run))) == "<2 runs>"
