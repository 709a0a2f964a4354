"""The command `rmqlab bench`."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table

from rmqlab.broker import Broker, start_broker

if TYPE_CHECKING:
    import pandas as pd

    from rmqlab.experiments.clients._model import Suite
    from rmqlab.experiments.clients._runner import Outcome

QUICK_REPEATS, QUICK_SECONDS = 2, 0.3

out = Console(highlight=False)
err = Console(stderr=True, highlight=False)


def bench(  # noqa: PLR0917 typer calls it by name
    suites: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[SUITE]...", help="publish, consume, size, processes, ledger; all of them if none."
        ),
    ] = None,
    repeats: Annotated[int, typer.Option(min=1, help="How often each variant runs.")] = 5,
    seconds: Annotated[float, typer.Option(min=0.05, max=20, help="How long a run is to take.")] = 1.0,
    csv: Annotated[Path | None, typer.Option(help="File for all runs, one row each.")] = None,
    output: Annotated[Path, typer.Option(help="Folder for the report.")] = Path("build/bench"),
    quick: Annotated[
        bool, typer.Option("--quick", help="A first look: short runs, and two of each.")
    ] = False,
) -> None:
    """Compare publish strategies, ack policies, sizes, processes, and client libraries.

    All variants run against the same broker and take turns. Only ratios mean something:
    rates depend on the machine, and on what else it does. All suites take about fifteen
    minutes, with --quick about five.
    """
    from rmqlab.experiments.clients._frames import environment, summarize, to_frame
    from rmqlab.experiments.clients._model import BenchError
    from rmqlab.experiments.clients._report import write_report
    from rmqlab.experiments.clients._runner import missing
    from rmqlab.experiments.clients._suites import find_suites

    chosen = find_suites(suites or [])
    if quick:
        repeats, seconds = QUICK_REPEATS, QUICK_SECONDS
    if absent := missing(chosen):
        err.print(absent, soft_wrap=True, markup=False)
    with err.status("starting a broker"):
        broker = start_broker()
    with broker:
        err.print(f"RabbitMQ {broker.version}, source: {broker.source}")
        facts = environment(broker)
        outcomes = _run(broker, chosen, repeats, seconds)
    frame = to_frame(itertools.chain.from_iterable(each.results for each in outcomes), facts)
    summary = summarize(frame, chosen)
    for each in chosen:
        _show(summary[summary["suite"] == each.name], each)
    if csv:
        csv.parent.mkdir(parents=True, exist_ok=True)
        frame.to_csv(csv, index=False)
    out.print(f"Report: {write_report(outcomes, frame, facts, output)}", soft_wrap=True)
    failures = [failure for each in outcomes for failure in each.failures]
    if failures:
        raise BenchError(f"{len(failures)} variants failed; the first: {failures[0]}")


def _run(broker: Broker, suites: Sequence[Suite], repeats: int, seconds: float) -> list[Outcome]:
    from rmqlab.experiments.clients._runner import installed, run_suite

    columns = (
        TextColumn("{task.description:10}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("runs"),
        TimeElapsedColumn(),
        TextColumn("{task.fields[variant]}"),
    )
    outcomes = []
    with Progress(*columns, console=err) as progress:
        for suite in suites:
            total = len(installed(suite)) * (1 + repeats * suite.rounds)
            task = progress.add_task(suite.name, total=total, variant="")

            def on_run(name: str, task: TaskID = task) -> None:
                progress.update(task, advance=1, variant=name)

            def on_failure(sentence: str) -> None:
                progress.console.print(sentence, style="red", markup=False, soft_wrap=True)

            outcomes.append(
                run_suite(
                    broker, suite, repeats=repeats, seconds=seconds, on_run=on_run, on_failure=on_failure
                )
            )
            progress.update(task, variant="")
    return outcomes


def _show(summary: pd.DataFrame, suite: Suite) -> None:
    """Show a suite as a table."""
    from rmqlab.experiments.clients._tables import cells, finding

    table = Table(
        box=None,
        header_style="bold",
        pad_edge=False,
        padding=(0, 1),
        title=suite.title,
        title_style="bold",
        title_justify="left",
    )
    table.add_column("variant")
    for heading in ("msg/s", "slowest to fastest", "ratio", "focus"):
        table.add_column(heading, justify="right")
    for group, rows in summary.groupby("group", sort=False):
        if group:
            table.add_row(f"[bold]{group!s}[/]")
        for row in rows.itertuples():
            name, rate, rates, ratio, _, focus = cells(row)
            table.add_row(name, rate, rates, ratio, focus)
    out.print(table)
    out.print(f"ratio: to {suite.baseline}, in the same round; focus: {suite.focus} is so many times as fast")
    out.print(f"[bold]{finding(summary, suite)}[/]\n", soft_wrap=True)
