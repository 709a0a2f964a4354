"""How much of the machine was busy, with whatever ran on it."""

from __future__ import annotations

import psutil

# What a core does when it is not idle. `guest` is left out: it is in `user` already.
BUSY = ("user", "nice", "system", "irq", "softirq", "interrupt", "dpc")


def busy_core_s() -> float:
    """Return how long the machine's cores have been busy since it started, in core-seconds.

    The difference of two calls is what all programs together spent between them: broker, workers,
    and everything else. In a container, the cores are those of the machine around it.
    """
    times = psutil.cpu_times()
    return float(sum(getattr(times, name, 0.0) for name in BUSY))
