"""What takes minutes: one restart after another, under load."""

from __future__ import annotations

import gc

import psutil
import pytest

from rmqlab.amqp import Recovery
from rmqlab.broker import Outage, OwnBroker
from rmqlab.experiments import RecoveryConfig, run_with_faults

RESTARTS = 20
# What the ledger keeps is below a tenth of this; a connection that leaked would be a few hundred KiB,
# so twenty of them show.
GROWTH_BYTES = 4 * 2**20


@pytest.mark.rehearsal
@pytest.mark.usefixtures("quiet_log")
def test_twenty_restarts_under_load_lose_and_leak_nothing(own_broker: OwnBroker) -> None:
    usages = []

    def restart() -> Outage:
        usages.append(_usage())
        return own_broker.restart()

    config = RecoveryConfig(
        faults={"restart": restart},
        recovery=Recovery(longest_wait_s=1, heartbeat_s=2),
        execute=lambda _: None,
        workers=2,
        rate_msg_s=300,
        repeats=RESTARTS,
        steady_s=1,
    )
    result = run_with_faults(own_broker, config, progress=False)

    (totals,) = result.frame("totals").to_dict("records")
    assert totals["confirmed"] == totals["published"] > RESTARTS * config.rate_msg_s
    assert totals["lost_confirmed"] == 0
    assert totals["duplicated"] <= totals["republished"] + totals["redelivered"]
    assert result.frame()["recover_s"].notna().all()
    # From the second restart on, when all that is loaded late is loaded, to the last.
    for name, early, late in zip(("threads", "files", "sockets"), usages[1], usages[-1], strict=False):
        assert late <= early, (name, usages)
    assert usages[-1][3] - usages[1][3] < GROWTH_BYTES, usages


def _usage() -> tuple[int, int, int, int]:
    """Return this process's threads, open files, connections that are open, and bytes of memory."""
    gc.collect()
    process = psutil.Process()
    sockets = [each for each in process.net_connections("tcp") if each.status == psutil.CONN_ESTABLISHED]
    return process.num_threads(), process.num_fds(), len(sockets), process.memory_info().rss
