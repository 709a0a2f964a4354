"""A pool of processes: none of them outlives its use."""

from __future__ import annotations

import functools
import os
import time
from concurrent.futures import as_completed

import psutil
import pytest
from helpers import running

from rmqlab.experiments.clients.processes import process_pool

# Says which processes its pool has, and waits for ever.
POOL = """
import os, time
from rmqlab.experiments.clients.processes import process_pool
if __name__ == "__main__":
    with process_pool(1) as pool:
        print(pool.submit(os.getpid).result(30), flush=True)
        pool.submit(time.sleep, 60).result()
"""


@pytest.mark.usefixtures("nothing_stays")
def test_what_a_job_raises_ends_the_others() -> None:
    started_s = time.monotonic()
    with pytest.raises(ZeroDivisionError), process_pool(2) as pool:
        jobs = [functools.partial(time.sleep, 60), functools.partial(divmod, 1, 0)]
        for job in as_completed([pool.submit(job) for job in jobs], 60):
            job.result()

    assert time.monotonic() - started_s < 30


@pytest.mark.usefixtures("nothing_stays")
def test_jobs_run_in_processes_of_their_own_which_end_with_the_block() -> None:
    with process_pool(1) as pool:
        assert pool.submit(os.getppid).result(30) == os.getpid()


def test_a_killed_program_leaves_no_process_of_its_pool() -> None:
    with running("-c", POOL) as program:
        assert program.stdout
        worker = psutil.Process(int(program.stdout.readline()))
        program.kill()
        _, alive = psutil.wait_procs([worker], timeout=10)
        for process in alive:
            process.kill()

    assert not alive
