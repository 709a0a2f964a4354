"""The command `rmqlab faults`."""

from __future__ import annotations

import datetime
import logging
import threading
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from rmqlab.broker import start_broker
from rmqlab.errors import RmqlabError
from rmqlab.interrupts import result_of

if TYPE_CHECKING:
    import pandas as pd

    from rmqlab.experiments.faults._matrix import Cell
    from rmqlab.experiments.faults._trial import Trial

REPEATS = 3
FOLDER = Path("build/faults")

out = Console(highlight=False)
err = Console(stderr=True, highlight=False)


def faults(
    client: Annotated[list[str] | None, typer.Option(help="A client; all of them if none is named.")] = None,
    fault: Annotated[list[str] | None, typer.Option(help="A fault; all of them if none is named.")] = None,
    repeats: Annotated[int, typer.Option(min=1, help="How often each cell of the matrix runs.")] = REPEATS,
    csv: Annotated[
        Path | None,
        typer.Option(help="File for all trials, one row each; one in build/faults if none is named."),
    ] = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="A first look: quorum queues only, and each cell once.")
    ] = False,
) -> None:
    """Break a broker under load, and see what rmqlab, aio-pika and kombu make of it.

    It starts a broker of its own. A trial takes from 3 to 25 seconds, all of them about 45
    minutes, with --quick seven. Each trial is written to the file as soon as it is over.
    """
    from rmqlab.experiments.faults._matrix import QUEUE_TYPES, find_cells, run_matrix
    from rmqlab.experiments.faults._table import environment, summarize, to_frame

    cells = find_cells(client or (), fault or (), QUEUE_TYPES[1:] if quick else QUEUE_TYPES)
    repeats = 1 if quick else repeats
    csv = csv or FOLDER / f"{datetime.datetime.now(datetime.UTC):%Y%m%d-%H%M%S}.csv"
    _quiet()
    trials: list[Trial] = []
    with err.status("starting a broker"):
        broker = start_broker(own=True)
    with broker:
        err.print(f"RabbitMQ {broker.version}, source: {broker.source}")
        err.print(f"Each trial is written to {csv}", soft_wrap=True, markup=False)
        facts = environment(broker)
        with _progress() as progress:
            task = progress.add_task("", total=len(cells) * repeats)

            def on_trial(cell: Cell) -> None:
                progress.update(task, description=str(cell))

            def on_result(trial: Trial) -> None:
                trials.append(trial)
                _save(csv, to_frame(trials, facts))  # each time: it may be interrupted
                progress.advance(task)
                if trial.hung or trial.lost_confirmed:
                    progress.console.print(_sentence(trial), style="red", markup=False, soft_wrap=True)

            work = _in_thread(
                lambda: run_matrix(broker, cells, repeats=repeats, on_trial=on_trial, on_result=on_result)
            )
            try:
                result_of(work)
            except BaseException:
                broker.stop()
                raise
    _show(summarize(to_frame(trials, facts)))
    ours = [trial for trial in trials if trial.client.startswith("rmqlab") and not _is_good(trial)]
    if ours:
        raise RmqlabError(f"{len(ours)} trials of rmqlab failed; the first: {_sentence(ours[0])}")


def _save(csv: Path, frame: pd.DataFrame) -> None:
    """Write all trials so far: beside the file first, as an interrupt may come in between."""
    beside = csv.with_name(f"{csv.name}.part")
    try:
        csv.parent.mkdir(parents=True, exist_ok=True)
        frame.to_csv(beside, index=False)
        beside.replace(csv)
    except OSError as error:
        beside.unlink(missing_ok=True)
        raise RmqlabError(
            f"{csv} cannot be written ({error.strerror}). Next: name another file with --csv"
        ) from error


def _in_thread(work: Callable[[], object]) -> Future[object]:
    """Do something in a thread of its own.

    An interrupt waits for a fault to be undone. In the main thread, it would wait for a server's
    start that nobody is to use; here the main thread stops the broker, and leaves.
    """
    outcome: Future[object] = Future()

    def run() -> None:
        try:
            outcome.set_result(work())
        except BaseException as error:  # it is raised where somebody waits for it
            outcome.set_exception(error)

    threading.Thread(target=run, name="rmqlab-faults", daemon=True).start()
    return outcome


def _quiet() -> None:
    """Keep to ourselves what clients log of the faults that are made on purpose."""
    for name in ("pika", "aio_pika", "aiormq", "kombu", "amqp", "asyncio", "rmqlab.amqp", "rmqlab.broker"):
        logging.getLogger(name).setLevel(logging.CRITICAL)


def _is_good(trial: Trial) -> bool:
    is_accounted_for = trial.duplicated <= trial.republished + trial.redelivered
    return not (trial.lost_confirmed or trial.unconfirmed or trial.hung) and is_accounted_for


def _sentence(trial: Trial) -> str:
    what = "hung" if trial.hung else f"lost {trial.lost_confirmed} confirmed messages"
    why = f" ({trial.error})" if trial.error else ""
    return f"{trial.client} {what}: {trial.fault}, {trial.queue_type} queue, repeat {trial.repeat}{why}"


def _progress() -> Progress:
    columns = (
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("trials"),
        TimeElapsedColumn(),
        TextColumn("{task.description}"),
    )
    return Progress(*columns, console=err)


def _show(summary: pd.DataFrame) -> None:
    table = Table(box=None, header_style="bold", pad_edge=False, padding=(0, 1))
    table.add_column("client")
    for heading in ("lost", "duplicated", "hung", "publishes after", "consumes after", "slowest"):
        table.add_column(heading, justify="right")
    last = ""
    for row in summary.to_dict("records"):
        if row["fault"] != last:
            last = row["fault"]
            table.add_row(f"[bold]{last}[/]")
        slowest = max(row["recover_publish_s_high"], row["recover_consume_s_high"])
        times = (row["recover_publish_s"], row["recover_consume_s"], slowest)
        counts = (row["lost_confirmed"], row["duplicated"], row["hung"])
        table.add_row(row["client"], *map(str, counts), *(f"{seconds:.2f} s" for seconds in times))
    out.print(table)
    out.print(
        "lost (of confirmed messages), duplicated, hung: sums; times: medians, since the broker is back"
    )
