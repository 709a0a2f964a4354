"""Make the site: gather its pages in build/site-source, and let Sphinx write build/site.

    python docs/build.py

Needs the extra `site`, which `make site` installs. Nothing is executed: the lessons show the
outputs that are stored.
"""

from __future__ import annotations

import importlib
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pandas as pd
from nbformat import NotebookNode

ROOT = Path(__file__).parents[1]
DOCS, NOTEBOOKS = ROOT / "docs", ROOT / "notebooks"
SOURCE, SITE = ROOT / "build" / "site-source", ROOT / "build" / "site"
PARTS = [
    "rmqlab.broker",
    "rmqlab.amqp",
    "rmqlab.engine",
    "rmqlab.measure",
    "rmqlab.view",
    "rmqlab.experiments",
    "rmqlab.playground",
    "rmqlab",
]


def main() -> int:
    """Write the site, and return Sphinx's exit code: a warning is an error."""
    gather()
    shutil.rmtree(SITE, ignore_errors=True)  # a page that is no more would stay
    SITE.mkdir(parents=True)
    sphinx = [sys.executable, "-m", "sphinx", "--fail-on-warning", "--keep-going", "-q", "-j", "auto"]
    code = subprocess.run([*sphinx, "-E", "-b", "html", SOURCE, SITE], check=False).returncode
    if code == 0:
        sys.stdout.write(f"The site is in {SITE.relative_to(ROOT)}: open index.html\n")
    return code


def gather() -> None:
    """Copy what the site is made of, and fill in what comes from the lessons and the package."""
    shutil.rmtree(SOURCE, ignore_errors=True)
    shutil.copytree(DOCS, SOURCE, ignore=shutil.ignore_patterns("build.py", "__pycache__"))
    shutil.copytree(NOTEBOOKS, SOURCE / "notebooks", ignore=shutil.ignore_patterns(".*", "__pycache__"))
    lessons = {}
    for path in sorted((SOURCE / "notebooks").glob("*.ipynb")):
        lessons[path] = nbformat.reads(_with_small_anchors(path.read_text(encoding="utf-8")), as_version=4)
        for cell in lessons[path].cells:
            _keep_description(cell)
        nbformat.write(lessons[path], path)
    for name in ("data/README.md", "data/reference/README.md"):
        (SOURCE / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, SOURCE / name)
    instructors = (ROOT / "INSTRUCTORS.md").read_text(encoding="utf-8")
    (SOURCE / "instructors.md").write_text(_without_readme(instructors), encoding="utf-8")
    appendices = {path: lesson for path, lesson in lessons.items() if path.stem.startswith("A")}
    parts = {
        "EXECUTED": executed(list(lessons.values())),
        "COURSE": course(lessons),
        "LESSONS": contents({path: lessons[path] for path in lessons if path not in appendices}),
        "APPENDICES": contents(appendices),
        "TRY": before_installing(os.environ.get("RMQLAB_REPOSITORY", "")),
        "VERSIONS": versions(),
        "REFERENCE": reference(),
    }
    for page in SOURCE.glob("*.md"):
        text = page.read_text(encoding="utf-8")
        page.write_text(re.sub(r"%([A-Z]+)%", lambda found: parts[found[1]], text), encoding="utf-8")


def executed(notebooks: list[NotebookNode]) -> str:
    """Return a sentence on the run whose outputs are stored."""
    cells = [cell for notebook in notebooks for cell in notebook.cells if cell.cell_type == "code"]
    checked = [cell for cell in cells if "nbval-ignore-output" not in cell.metadata.get("tags", [])]
    claims = sum(str(cell.outputs).count("': True") for cell in checked)
    run = notebooks[0].metadata.get("rmqlab", {})
    environment = (
        f"Executed on {run['date']} with RabbitMQ {run['rabbitmq']} and pika {run['pika']}"
        if run
        else "Executed"
    )
    return f"{environment}: {len(checked)} cells compared, {claims} claims checked."


def before_installing(repository: str) -> str:
    """Return where the lessons run without an installation, for a repository on GitHub; else nothing."""
    place = repository.removeprefix("https://github.com/")
    if place == repository:
        return ""
    lesson = "lab/tree/notebooks/00_start_here.ipynb"
    return (
        f"\nBefore you install anything: [open a Codespace](https://codespaces.new/{place}), or "
        f"[a Binder](https://mybinder.org/v2/gh/{place}/HEAD?urlpath={lesson}). Each has a RabbitMQ inside."
    )


def title(path: Path, notebook: NotebookNode) -> str:
    """Return a lesson's title, with the number by which others call it."""
    number = path.stem.split("_")[0] if "_" in path.stem else ""
    words = notebook.cells[0].source.partition("\n")[0].removeprefix("# ")
    return f"{number} {words}".strip()


def contents(lessons: dict[Path, NotebookNode]) -> str:
    """Return the entries of a table of contents."""
    return "\n".join(f"{title(path, lesson)} <notebooks/{path.stem}>" for path, lesson in lessons.items())


def course(lessons: dict[Path, NotebookNode]) -> str:
    """Return a table of the lessons: what each is about, and how long it takes."""
    rows = ["| lesson | what you'll do | time |", "|---|---|---|"]
    for path, lesson in lessons.items():
        cells = lesson.cells
        _, _, rest = cells[0].source.partition("\n")
        first = rest.strip().split("\n")[0].replace("](", "](notebooks/")  # its links, from this page
        time = re.search(r"\*\*Time\*\*: (.*?)\.?$", cells[1].source, re.MULTILINE)
        rows.append(
            f"| [{title(path, lesson)}](notebooks/{path.name}) | {first} | {time[1] if time else ''} |"
        )
    return "\n".join(rows)


def versions() -> str:
    """Return the table of what differs between versions of RabbitMQ."""
    frame = pd.read_csv(ROOT / "data" / "reference" / "versions.csv", dtype=str).fillna("")
    table = frame.pivot(index="behavior", columns="rabbitmq", values="observed")
    header = "| behavior | " + " | ".join(table.columns) + " |"
    rows = [
        f"| {name} | " + " | ".join(map(str, row)) + " |"
        for name, row in zip(table.index, table.to_numpy(), strict=True)
    ]
    return "\n".join([header, "|---" * (len(table.columns) + 1) + "|", *rows])


def reference() -> str:
    """Return a section for each part of the package, with what it exports; a name stands in one of them."""
    shown: set[str] = set()
    return "\n\n".join(_part(part, shown) for part in PARTS)


def _part(part: str, shown: set[str]) -> str:
    module = importlib.import_module(part)
    lines = [
        f"## {part}",
        "",
        (module.__doc__ or "").strip(),
        "",
        "```{eval-rst}",
        f".. currentmodule:: {part}",
        "",
    ]
    for name in sorted(module.__all__):
        value = getattr(module, name)
        if f"{getattr(value, '__module__', part)}.{name}" in shown:
            continue  # as where an upper layer offers a name of a lower one
        shown.add(f"{getattr(value, '__module__', part)}.{name}")
        kind = "autoclass" if isinstance(value, type) else "autofunction" if callable(value) else "autodata"
        lines += [f".. {kind}:: {name}", *(["   :members:"] if kind == "autoclass" else []), ""]
    return "\n".join([*lines, "```"])


def _keep_description(cell: NotebookNode) -> None:
    """Write a figure's alternative text into the page as well."""
    for output in cell.get("outputs", []):
        if text := output.get("metadata", {}).get("image/png", {}).get("alt"):
            cell.metadata["mystnb"] = {"image": {"alt": text}}


def _with_small_anchors(text: str) -> str:
    """Return a page whose links to headings are written as Sphinx writes these: in small letters."""
    return re.sub(r"\]\((?:[\w.-]+\.md|)#[^)]+\)", lambda found: found[0].lower(), text)


def _without_readme(text: str) -> str:
    """Return the instructors' notes with links that lead to pages of the site."""
    return re.sub(r"\[([^\]]*)\]\((?:README|CONTRIBUTING)\.md[^)]*\)", r"\1", text)


if __name__ == "__main__":
    sys.exit(main())
