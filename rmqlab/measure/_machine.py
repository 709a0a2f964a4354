"""How much of the machine was busy, with whatever ran on it."""

from __future__ import annotations

import psutil

__all__ = ["busy_core_s"]

# What a core does when it is not idle. `guest` is left out: it is in `user` already.
BUSY = ("user", "nice", "system", "irq", "softirq", "interrupt", "dpc")


def busy_core_s() -> float:
    """Return how long the machine's cores have been busy since it started, in core-seconds.

    The difference of two calls is what was spent between them by all programs together:
    broker, workers, and everything else that ran. On two cores it grows by 2 a second at most.

    Returns:
        Core-seconds; in a container, those of the machine around it.
    """
    times = psutil.cpu_times()
    return float(sum(getattr(times, name, 0.0) for name in BUSY))
