"""The command `rmqlab`: doctor, broker, lab, run, classroom."""

from __future__ import annotations

import contextlib
import datetime
import logging
import os
import signal
import subprocess
import sys
import threading
import time
import webbrowser
from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.logging import RichHandler
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from rmqlab.app.course_copy import provide_course
from rmqlab.app.terminal import end_with_terminal
from rmqlab.broker import Broker, start_broker
from rmqlab.classroom.room import MAX_SEATS, Limits, Room
from rmqlab.errors import ClassroomError, RmqlabError
from rmqlab.interrupts import WAKE_EVERY_S

INTERRUPTED = 130  # as a shell says it of SIGINT
START_TIMEOUT_S = 20  # for a broker that is starting when the lab is to end

LIMITS = Limits()
JUPYTER_CONFIG = Path(__file__).with_name("jupyter")
FIRST_LESSON = "notebooks/00_start_here.ipynb"
PROGRESS = ("{task.description}", BarColumn(), MofNCompleteColumn(), "cells", TimeElapsedColumn())

app = typer.Typer(
    help="A laboratory that teaches RabbitMQ in Python by measuring it.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
out = Console(highlight=False, markup=False, soft_wrap=True)
err = Console(stderr=True, highlight=False, markup=False, soft_wrap=True)


def main() -> None:
    """Run the command line; an error is one message on standard error, and exit code 1."""
    # As on Ctrl-C, what was started is stopped.
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    end_with_terminal()
    # A shell starts what runs in its background with SIGINT ignored; here it ends things well.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    # What takes long says so, such as an image that is pulled.
    logging.basicConfig(
        handlers=[RichHandler(console=err, show_time=False, show_path=False)], format="%(message)s"
    )
    logging.getLogger("rmqlab").setLevel(logging.INFO)
    try:
        # Without standalone mode, a command that leaves with an exit code has it returned here.
        sys.exit(app(standalone_mode=False))
    except RmqlabError as error:
        err.print(f"rmqlab: {error}", style="red")
        sys.exit(1)
    except (KeyboardInterrupt, typer.Abort):
        sys.exit(INTERRUPTED)
    except Exception as error:
        _explain_usage(error)
        sys.exit(2)


def _explain_usage(error: Exception) -> None:
    """Print what click says of a wrong option or argument; raise again what is none of click's."""
    context = getattr(error, "ctx", None)
    if not hasattr(error, "format_message"):
        raise error
    if type(error).__name__ == "NoArgsIsHelpError":
        error.show()  # type: ignore[attr-defined] # the help
        return
    reason = " ".join(error.format_message().split()).rstrip(".")
    command = context.command_path if context else "rmqlab"
    err.print(f"rmqlab: {reason}. Next: see {command} --help", style="red")


@app.command()
def doctor() -> None:
    """Show what is on this machine, and what is missing."""
    from rmqlab.app import doctor

    with err.status("looking around"):
        findings = doctor.examine()
    table = Table(box=None, header_style="bold", pad_edge=False)
    for heading in ("what", "", "found", "next step"):
        table.add_column(heading, overflow="fold")
    marks = {True: Text("yes", "green"), None: Text("-"), False: Text("NO", "red")}
    for each in findings:
        table.add_row(each.subject, marks[each.good], each.detail, each.fix)
    out.print(table, soft_wrap=False)
    if not doctor.can_run(findings):
        raise typer.Exit(1)


@app.command(context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
def broker(
    command: Annotated[list[str], typer.Argument(help="A command to run with AMQP_URL set.")],
) -> None:
    """Start a broker for a command, and stop it when the command ends.

    `rmqlab broker python my_program.py` runs the program with AMQP_URL naming the broker, and
    `rmqlab broker bash` a shell in which to run several.
    """
    with err.status("starting a broker"):
        running = _start_broker()
    with running:
        raise typer.Exit(_run_command(command, running))


@app.command()
def lab(
    browser: Annotated[bool, typer.Option(help="Open a browser.")] = True,
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Port of JupyterLab; the next free one if taken.")
    ] = 8888,
) -> None:
    """Start a broker, and JupyterLab on the lessons, until Ctrl-C.

    Where rmqlab was installed and not cloned, the lessons are copied to a folder here, once.
    """
    # Nothing is to come between the reader and the lesson, such as news of Jupyter.
    paths = [str(JUPYTER_CONFIG), os.environ.get("JUPYTER_CONFIG_PATH", "")]
    os.environ["JUPYTER_CONFIG_PATH"] = os.pathsep.join(filter(None, paths))
    with _broker_in_thread() as broker:
        from rmqlab.app.lab import run_lab  # takes a second

        arguments = [
            f"--ServerApp.root_dir={provide_course(Path.cwd())}",
            f"--LabApp.default_url=/lab/tree/{FIRST_LESSON}",
            f"--ServerApp.open_browser={browser}",
            "--ServerApp.ip=127.0.0.1",
            f"--ServerApp.port={port}",
            "--ServerApp.answer_yes=True",  # one Ctrl-C is enough
            "--ServerApp.allow_root=True",
        ]
        run_lab(arguments, broker)
    err.print("JupyterLab and its broker have ended.")


@app.command()
def run(
    notebooks: Annotated[
        list[Path] | None,
        typer.Argument(exists=True, dir_okay=False, help="Notebooks to execute; all lessons if none."),
    ] = None,
    output: Annotated[Path, typer.Option(help="Folder for the executed copies and the report.")] = Path(
        "build"
    ),
    in_place: Annotated[bool, typer.Option("--in-place", help="Rewrite the notebooks themselves.")] = False,
) -> None:
    """Execute the lessons from top to bottom, and report on them."""
    from rmqlab.app import lessons
    from rmqlab.measure import provenance

    paths = notebooks or sorted((provide_course(Path.cwd()) / "notebooks").glob("*.ipynb"))
    counts = {path: len(lessons.code_cells(lessons.read_lesson(path))) for path in paths}
    executions = []
    with err.status("starting a broker"):
        running = _start_broker()
    with running, Progress(*PROGRESS, console=err) as progress:
        os.environ.update(running.environment())  # for the kernels
        for path, count in counts.items():
            task = progress.add_task(path.stem, total=count)
            execution = lessons.execute(path, lambda task=task: progress.advance(task))  # type: ignore[misc]
            when = {"date": datetime.datetime.now(datetime.UTC).date().isoformat()}
            execution.notebook.metadata[lessons.PLACE] = provenance(running) | when
            executions.append(execution)
            lessons.write_notebook(execution, output / "notebooks" / path.name)
            if execution.error:
                progress.console.print(f"{path.stem}: {execution.error}", style="red")
            elif in_place:
                lessons.write_notebook(execution, path)
    report = lessons.write_report(executions, output / "report")
    out.print(f"Report: {report}")
    if failed := [each.path.stem for each in executions if each.error]:
        raise RmqlabError(
            f"{len(failed)} of {len(executions)} lessons failed: {', '.join(failed)}. Next: see the report"
        )


@app.command()
def classroom(  # noqa: PLR0917 # typer reads its options from the parameters
    seats: Annotated[
        int | None,
        typer.Argument(min=1, max=MAX_SEATS, help="How many seats to make; none shows the room's page."),
    ] = None,
    room: Annotated[str, typer.Option(help="Tells it from other rooms on the same broker.")] = "room",
    host: Annotated[str, typer.Option(help="What the seats call the broker's host.")] = "",
    connections: Annotated[int, typer.Option(min=5, help="Connections of a seat.")] = LIMITS.connections,
    queues: Annotated[int, typer.Option(min=5, help="Queues of a seat.")] = LIMITS.queues,
    megabytes: Annotated[int, typer.Option(min=1, help="Megabytes in each queue.")] = LIMITS.megabytes,
    end: Annotated[bool, typer.Option("--end", help="Take the room away again.")] = False,
    browser: Annotated[bool, typer.Option(help="Open the room's page in a browser.")] = True,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port of the room's page.")] = 8899,
) -> None:
    """Make seats for a room of learners on the broker of AMQP_URL, show how far they are, or end it.

    `rmqlab classroom 20` makes twenty seats, `rmqlab classroom` shows the room while it works, and
    `rmqlab classroom --end` takes away what the first one made.
    """
    place = Room(room)
    if end:
        out.print(f"The room {room} has ended; it had {place.end()} seats.")
    elif seats is None:
        from rmqlab.classroom.screen import serve

        with serve(place, port) as address:
            out.print(f"The room's page: {address}\nCtrl-C ends it; the room stays.")
            if browser:
                webbrowser.open(address)
            while True:
                time.sleep(WAKE_EVERY_S)
    else:
        _open_room(place, seats, Limits(connections, queues, megabytes), host)


def _open_room(room: Room, seats: int, limits: Limits, host: str) -> None:
    from rmqlab.classroom.handout import write_handout

    with err.status("making the seats"):
        made = room.open(seats, limits, host=host)
    try:
        page, table = write_handout(room, made, Path.cwd())
    except OSError as error:
        room.end()  # nobody would know the passwords
        raise ClassroomError(
            f"The seats' cards cannot be written here ({error.strerror}). Next: start in a folder of your own"
        ) from error
    out.print(f"{seats} seats. To print: {page}\nTo paste: {table}")
    if (host or room.host) in ("localhost", "127.0.0.1", "::1"):
        err.print("Other machines cannot reach this broker by that name. Next: end the room, and use --host")


def _start_broker() -> Broker:
    """Start the broker, and say which one it is."""
    running = start_broker()
    err.print(f"RabbitMQ {running.version}, source: {running.source}")
    if running.shared_virtual_host:
        err.print(
            f"The virtual host {running.shared_virtual_host!r} is shared with others. "
            "The lab deletes what it makes there, and nothing else."
        )
    return running


@contextlib.contextmanager
def _broker_in_thread() -> Iterator[Future[dict[str, str]]]:
    """Start the broker in a thread, for what can begin without it; stop it at the end.

    Yields what the environment needs to find the broker, once it is up; or why there is none,
    which is raised at the end as well.
    """
    environment: Future[dict[str, str]] = Future()
    brokers = []

    def start() -> None:
        try:
            brokers.append(broker := _start_broker())
            os.environ.update(broker.environment())  # for terminals
            environment.set_result(broker.environment())
        except Exception as error:
            environment.set_exception(error)

    threading.Thread(target=start, name="rmqlab-broker", daemon=True).start()
    try:
        yield environment
        if environment.done():
            environment.result()
    finally:
        with contextlib.suppress(TimeoutError):  # an image is on its way, and no container is there yet
            environment.exception(START_TIMEOUT_S)
        for broker in brokers:
            broker.stop()


def _run_command(command: list[str], running: Broker) -> int:
    """Run a command with the broker in its environment, and return its exit code."""
    try:
        process = subprocess.Popen(command, env=os.environ | running.environment())
    except OSError as error:
        raise RmqlabError(f"{command[0]!r} cannot be run ({error.strerror}). Next: give a command") from error
    while True:
        try:
            while (code := process.poll()) is None:
                time.sleep(WAKE_EVERY_S)
            return code if code >= 0 else 128 - code  # as a shell says that a signal ended it
        except KeyboardInterrupt:
            # A terminal has sent Ctrl-C to the command as well: let it end in its own way.
            continue
        except SystemExit:
            process.terminate()
            process.wait()
            raise
