"""Jobs in other processes: their results, their failures, and that none of them outlives its use."""

from __future__ import annotations

import functools
import os
import time
from collections.abc import Callable

import psutil
import pytest
from helpers import running

from rmqlab.errors import RmqlabError, TimeLimitError
from rmqlab.experiments.clients.processes import process_pool, run_jobs

# Says which processes its pool has, and waits for ever.
POOL = """
import os, time
from rmqlab.experiments.clients.processes import process_pool
if __name__ == "__main__":
    with process_pool(1) as pool:
        print(pool.submit(os.getpid).result(30), flush=True)
        pool.submit(time.sleep, 60).result()
"""


pytestmark = pytest.mark.usefixtures("no_process_stays")


def _run(*jobs: Callable[[], object], timeout_s: float) -> None:
    with process_pool(len(jobs)) as pool:
        run_jobs(jobs, timeout_s=timeout_s, executor=pool)


def test_jobs_run_in_processes_of_their_own_and_results_keep_their_order() -> None:
    with process_pool(2) as pool:
        jobs = [functools.partial(pow, 2, 3), os.getpid, functools.partial(pow, 3, 2)]
        first, process, last = run_jobs(jobs, timeout_s=30, executor=pool)
        assert run_jobs([os.getppid], timeout_s=30, executor=pool) == [os.getpid()]

    assert (first, last) == (8, 9)
    assert process != os.getpid()


def test_what_a_job_raises_ends_the_others() -> None:
    started_s = time.monotonic()
    with pytest.raises(ZeroDivisionError):
        _run(functools.partial(time.sleep, 60), functools.partial(divmod, 1, 0), timeout_s=60)

    assert time.monotonic() - started_s < 30


def test_a_job_that_takes_too_long_is_ended() -> None:
    with pytest.raises(TimeLimitError, match=r"1 of 1 jobs had not ended after 0\.2 s.*Next: "):
        _run(functools.partial(time.sleep, 60), timeout_s=0.2)


def test_a_process_that_dies_is_an_error_with_a_next_step() -> None:
    with pytest.raises(RmqlabError, match=r"A process ended before its job.*Next: "):
        _run(functools.partial(os._exit, 1), timeout_s=30)


def test_a_killed_program_leaves_no_process_of_its_pool() -> None:
    with running("-c", POOL) as program:
        assert program.stdout
        worker = psutil.Process(int(program.stdout.readline()))
        program.kill()
        _, alive = psutil.wait_procs([worker], timeout=10)
        for process in alive:
            process.kill()

    assert not alive
