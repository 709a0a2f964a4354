"""The notebooks as a whole: execute them, normalize them, report on them."""

from __future__ import annotations

import html
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError
from nbformat import NotebookNode, v4

from rmqlab.classroom.reports import LESSON_SETTING, MEASURED, kernel_options
from rmqlab.errors import LessonError

NO_MERMAID = "data:text/javascript,export default {initialize() {}}"
WIDGET = "application/vnd.jupyter.widget-view+json"
LOST_KERNEL = "has lost its kernel"
CELL_TIMEOUT_S = 120
KEPT_CELL_METADATA = ("tags", "jupyter", MEASURED)
PLACE = "rmqlab"  # the notebook's metadata of where it was executed


@dataclass(frozen=True, slots=True)
class Execution:
    """One lesson, executed.

    Attributes:
        path: the notebook.
        notebook: the executed copy; up to the failing cell, if one failed.
        seconds: how long it took.
        error: what went wrong; empty if nothing did.
    """

    path: Path
    notebook: NotebookNode
    seconds: float
    error: str


def read_lesson(path: Path) -> NotebookNode:
    """Read a notebook.

    Raises:
        LessonError: the file is not a notebook.
    """
    try:
        return nbformat.read(path, as_version=4)
    except Exception as error:  # nbformat raises whatever its parsers raise
        raise LessonError(f"{path.name} is not a notebook ({error}). Next: name an .ipynb file") from error


def code_cells(notebook: NotebookNode) -> list[NotebookNode]:
    """Return the cells that will be executed."""
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def execute(path: Path, on_cell: Callable[[], None]) -> Execution:
    """Execute a notebook from top to bottom, in a kernel of its own.

    Args:
        path: the notebook; the file is left as it is.
        on_cell: is called after each code cell.
    """
    notebook = read_lesson(path)
    for cell in code_cells(notebook):  # what a failure leaves out must not show its old outputs
        cell.execution_count, cell.outputs = None, []
    started = time.perf_counter()
    error = _error_of(notebook, path, on_cell)
    if error and _count_executed(notebook) == 0 and LOST_KERNEL in error:
        # Another kernel, of this machine, may have taken one of the ports that Jupyter had chosen for it.
        error = _error_of(notebook, path, on_cell)
    seconds = time.perf_counter() - started
    normalize(notebook)
    return Execution(path, notebook, seconds, error)


def _error_of(notebook: NotebookNode, path: Path, on_cell: Callable[[], None]) -> str:
    """Execute the cells; return what ended that before the last one, or nothing."""
    client = NotebookClient(
        notebook,
        timeout=CELL_TIMEOUT_S,
        kernel_name="python3",
        resources={"metadata": {"path": str(path.resolve().parent)}},
        on_cell_executed=lambda **_: on_cell(),
        record_timing=False,
        # One output a stream, and of a progress bar its last state.
        coalesce_streams=True,
        # A kernel warns of its own TCP ports, which are on loopback.
        extra_arguments=["--IPKernelApp.log_level=ERROR", *kernel_options()],
    )
    try:
        client.execute(env=os.environ | {LESSON_SETTING: path.name})
    except CellExecutionError as failure:
        what = f"raised {failure.ename}: {failure.evalue}"
    except CellTimeoutError:
        what = f"took longer than {CELL_TIMEOUT_S} s"
    except RuntimeError as failure:  # a kernel that died, or never answered
        what = f"{LOST_KERNEL}: {failure}"
    else:
        return ""
    return f"code cell {_count_executed(notebook)} {what}"


def normalize(notebook: NotebookNode) -> None:
    """Remove from a notebook what differs between two machines, but where it was executed."""
    environment = {PLACE: notebook.metadata[PLACE]} if PLACE in notebook.metadata else {}
    notebook.metadata = NotebookNode(
        kernelspec=NotebookNode(display_name="Python 3 (ipykernel)", language="python", name="python3"),
        language_info=NotebookNode(name="python"),
        **environment,
    )
    for place, cell in enumerate(notebook.cells):
        cell.metadata = NotebookNode(
            {key: cell.metadata[key] for key in KEPT_CELL_METADATA if key in cell.metadata}
        )
        if cell.cell_type == "code":
            for output in cell.outputs:
                output.get("data", {}).pop(WIDGET, None)  # which needs the kernel that has gone
            cell.outputs = [output for output in cell.outputs if output.get("text", "?").strip()]
            _describe_figures(cell, notebook.cells[place + 1 : place + 4])


def write_report(executions: list[Execution], folder: Path) -> Path:
    """Write the executed lessons as web pages that need no network, with a page to start from.

    Returns:
        The page to start from.
    """
    from nbconvert import HTMLExporter

    folder.mkdir(parents=True, exist_ok=True)
    # The template that writes descriptions of figures, without the scripts that it would load.
    exporter = HTMLExporter(
        template_name="classic",
        embed_images=True,
        require_js_url="",
        mathjax_url="",
        jquery_url="",
        mermaid_js_url=NO_MERMAID,
    )
    pages = [(each.path, each.notebook) for each in executions]
    for path, notebook in (*pages, (folder / "index", _index(executions))):
        resources = {"metadata": {"name": path.stem, "path": str(path.parent)}}
        body, _ = exporter.from_notebook_node(notebook, resources)
        (folder / f"{path.stem}.html").write_text(body, encoding="utf-8")
    return folder / "index.html"


def write_notebook(execution: Execution, path: Path) -> None:
    """Write an executed notebook to a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(execution.notebook, path)


def _describe_figures(cell: NotebookNode, following: list[NotebookNode]) -> None:
    """Describe each figure by the first paragraph behind it, for readers who cannot see it."""
    texts = [each.source for each in following if each.cell_type == "markdown"]
    paragraph = texts[0].split("\n\n")[0].replace("*", "") if texts else "figure"
    for output in cell.outputs:
        if "image/png" in output.get("data", {}):
            output.metadata = NotebookNode({"image/png": NotebookNode(alt=paragraph)})


def _count_executed(notebook: NotebookNode) -> int:
    return sum(bool(cell.execution_count) for cell in code_cells(notebook))


def _index(executions: list[Execution]) -> NotebookNode:
    rows = ""
    for each in executions:
        heading = each.notebook.cells[0].source.partition("\n")[0].lstrip("# ") if each.notebook.cells else ""
        name, title, error = (html.escape(text) for text in (each.path.stem, heading, each.error))
        rows += (
            f'<tr><td><a href="{name}.html">{name}</a></td><td>{title}</td>'
            f"<td>{each.seconds:.0f} s</td><td>{' '.join(error.split()) or 'passed'}</td></tr>"
        )
    return v4.new_notebook(cells=[v4.new_markdown_cell(f"# The lessons, executed\n\n<table>{rows}</table>")])
