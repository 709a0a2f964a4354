"""Ten things to bring about in the playground, each checked by what is measured."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from rmqlab.playground._system import TROUBLE_S, Settings

MANY_WAIT, SOME_WAIT = 100, 50
HOARD, BIG_HAND = 20, 5
STEADY_S, STEADY_MSG_S, STEADY_WORKERS, STEADY_MS = 10, 30, 3, 100
STORM_MSG_S = 20
BACK_S = 5


@dataclass(frozen=True, slots=True)
class Sample:
    """What the system did at a moment, and in the second before.

    Attributes:
        time_s: seconds since the beginning.
        settings: what the controls said.
        ready: messages that wait in the queue; None when the broker did not say.
        hands: how many messages each worker has.
        published_msg_s, done_msg_s, redelivered_msg_s: rates of the last second.
        wait_median_ms, wait_p95_ms: from publishing to the beginning of the work, of the last two seconds.
        high_ms, normal_ms: the medians of tasks of high priority, and of the others.
        redelivered: deliveries that were repetitions, since the beginning.
        lost: tasks that are nowhere any more, since the beginning.
        is_quiet: whether nothing is published, waits or is in hand.
        emptied, freezes: how often the player did so.
        kills: how many messages each killed worker had in hand, and how many tasks were lost by then.
    """

    time_s: float
    settings: Settings
    ready: int | None
    hands: tuple[int, ...]
    published_msg_s: float
    done_msg_s: float
    redelivered_msg_s: float
    wait_median_ms: float | None
    wait_p95_ms: float | None
    high_ms: float | None
    normal_ms: float | None
    redelivered: int
    lost: int
    is_quiet: bool
    emptied: int
    freezes: int
    kills: tuple[tuple[int, int], ...]


Samples = Sequence[Sample]


def _was_worked_off(samples: Samples) -> bool:
    full = [number for number, each in enumerate(samples) if (each.ready or 0) >= MANY_WAIT]
    if not full or samples[-1].ready not in (0, 1, 2):
        return False
    since = samples[full[-1] :]
    least = min(each.settings.rate_msg_s for each in since)
    return least >= STORM_MSG_S and since[0].emptied == since[-1].emptied


def _one_hoards(samples: Samples) -> bool:
    hands = samples[-1].hands
    return len(hands) >= STEADY_WORKERS and max(hands) >= HOARD and min(hands) == 0


def _waits_are_short(samples: Samples) -> bool:
    last = [each for each in samples if each.time_s > samples[-1].time_s - STEADY_S]
    return samples[0].time_s <= samples[-1].time_s - STEADY_S and all(
        each.wait_p95_ms is not None
        and each.wait_p95_ms < STEADY_MS
        and each.settings.rate_msg_s >= STEADY_MSG_S
        and each.settings.workers == STEADY_WORKERS
        for each in last
    )


def _killed_without_loss(samples: Samples) -> bool:
    last = samples[-1]
    return last.is_quiet and any(held >= BIG_HAND and lost == last.lost for held, lost in last.kills)


def _high_priority_overtakes(samples: Samples) -> bool:
    last = samples[-1]
    both = last.high_ms is not None and last.normal_ms is not None
    return both and (last.ready or 0) >= SOME_WAIT and last.high_ms < last.normal_ms / 10  # type: ignore[operator]


def _is_back_after_freeze(samples: Samples) -> bool:
    last = samples[-1]
    before = [each for each in samples if each.freezes < last.freezes]
    if not before or last.ready != 0 or last.done_msg_s <= 0:
        return False
    since_s = last.time_s - before[-1].time_s - TROUBLE_S
    return 0 < since_s <= BACK_S and last.settings.rate_msg_s >= STORM_MSG_S


# What is to be brought about, and what says that it was. The lessons in which it is explained: 01, 01, 06,
# 06, 05, 05, 05, 05, 04, 08.
CHALLENGES: dict[str, Callable[[Samples], bool]] = {
    f"Let {MANY_WAIT} tasks wait in the queue.": lambda samples: (samples[-1].ready or 0) >= MANY_WAIT,
    f"Have the workers do all of these, while at least {STORM_MSG_S} tasks a second come.": _was_worked_off,
    f"Make one of three workers hoard {HOARD} tasks, while another has none.": _one_hoards,
    f"Three workers, {STEADY_MSG_S} tasks a second: keep the 95th percentile of the wait under {STEADY_MS} "
    f"ms for {STEADY_S} s.": _waits_are_short,
    "Let a task be delivered twice.": lambda samples: samples[-1].redelivered > 0,
    "Lose a task. It counts when nothing is published, waits or is in hand any more.": lambda samples: (
        samples[-1].lost > 0
    ),
    f"Make that impossible: kill a worker with {BIG_HAND} tasks in hand, and lose none.": (
        _killed_without_loss
    ),
    f"Let poison keep the workers busy, with {STORM_MSG_S} redeliveries a second.": lambda samples: (
        samples[-1].redelivered_msg_s >= STORM_MSG_S
    ),
    f"With {SOME_WAIT} tasks waiting, let those of high priority wait a tenth of the others' time.": (
        _high_priority_overtakes
    ),
    f"Freeze the broker at {STORM_MSG_S} tasks a second: the queue is empty within {BACK_S} s after it.": (
        _is_back_after_freeze
    ),
}
