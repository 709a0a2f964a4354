"""The repository: what its files promise each other, and what must not be in them."""

from __future__ import annotations

import contextlib
import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
SELF = "tests/project/test_project.py"  # it spells out what it looks for

# Which packages of pip have another name on conda-forge.
CONDA_NAMES = {"docker": "docker-py"}
# What conda installs that pip does not, or that is the environment itself.
CONDA_ONLY = {"python", "pip", "rabbitmq-server"}


@pytest.fixture(scope="module")
def texts() -> dict[str, str]:
    """The text of every file that is in the repository, or would be with the next `git add`."""
    if shutil.which("git") is None or not (ROOT / ".git").exists():
        pytest.skip("there is no git, as in an archive of the repository")
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    found = {}
    for name in filter(None, listed.stdout.split("\0")):
        with contextlib.suppress(UnicodeDecodeError, FileNotFoundError):  # a picture; a file that is deleted
            found[name] = (ROOT / name).read_text(encoding="utf-8")
    assert found, "git lists no files"
    return found


def _requirement(text: str) -> tuple[str, str]:
    name, bounds = re.fullmatch(r"([A-Za-z0-9._-]+)\s*(.*)", text.strip()).groups()
    return name.lower(), bounds.replace(" ", "")


def _pyproject() -> dict:
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def _wanted(project: dict) -> list[str]:
    """What the lab and its tests need; the clients that are compared are pip's in both."""
    wanted = project["dependencies"] + project["optional-dependencies"]["test"]
    return [text for text in wanted if not text.startswith("rmqlab[")]


def test_conda_and_pip_install_the_same() -> None:
    project = _pyproject()
    pip = dict(map(_requirement, _wanted(project)))
    environment = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))
    conda, of_pip = {}, []
    for each in environment["dependencies"]:
        if isinstance(each, dict):
            of_pip += [text for text in each["pip"] if not text.startswith(("-e", "--editable"))]
        else:
            conda.update([_requirement(each)])
    listed = {name: bounds for name, bounds in conda.items() if name not in CONDA_ONLY}
    listed.update(map(_requirement, of_pip))

    assert listed == {CONDA_NAMES.get(name, name): bounds for name, bounds in pip.items()}
    assert {"python", "rabbitmq-server"} <= set(conda)
    assert conda["python"] == project["requires-python"]


def test_every_dependency_has_a_lower_bound_and_constraints_pin_it_once() -> None:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pins = [line for line in lines if line.strip() and not line.startswith("#")]
    names = [re.sub(r"[._]", "-", pin.partition("==")[0].lower()) for pin in pins]
    project = _pyproject()
    wanted = _wanted(project) + project["optional-dependencies"]["bench"]

    for pin in pins:
        assert re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9.+!]+", pin), pin
    assert len(set(names)) == len(names)
    assert {_requirement(text)[0] for text in wanted} - set(names) == set()
    assert [text for text in wanted if not _requirement(text)[1].startswith(">=")] == []


@pytest.mark.parametrize(
    ("what", "pattern"),
    [
        ("a path of one machine", r"(?<![\w.}])/(?:work|root)/|(?<![\w.}])/home/(?!<)[a-z]\w*"),
        (
            "the address of a registry",
            r"\b(?:pypi\.org|files\.pythonhosted\.org|deb\.debian\.org|registry\.npmjs\.org|docker\.io"
            r"|ghcr\.io|quay\.io|archive\.ubuntu\.com|conda\.anaconda\.org)\b",
        ),
        ("a private address", r"\b(?:10\.\d+|192\.168|172\.(?:1[6-9]|2\d|3[01]))\.\d+\.\d+\b"),
    ],
)
def test_no_file_holds(texts: dict[str, str], what: str, pattern: str) -> None:
    found = {
        f"{name}:{number}: {line.strip()[:120]}"
        for name, text in texts.items()
        if name != SELF
        for number, line in enumerate(text.splitlines(), start=1)
        if re.search(pattern, line)
    }

    assert found == set(), what


PLACEHOLDERS = {
    *("password", "guest", "***", "…", "p", "pass", "PASSWORD", "${password}", "{password}", "pika"),
    # of the tests
    *("{self.password}", "s3cr3t", "s3cr3t%2Fword", "{SECRET}", "wr0ng", "wrong"),
}


def test_no_file_holds_a_password_in_an_amqp_url(texts: dict[str, str]) -> None:
    found = {
        f"{name}: {match[0]}"
        for name, text in texts.items()
        for match in re.finditer(r"amqps?://[^\s:/@\"']*:([^\s@/\"']+)@", text)
        if match[1] not in PLACEHOLDERS and name != SELF
    }

    assert found == set()


def test_the_readme_lists_the_targets_of_make() -> None:
    targets = set(
        re.findall(r"^([a-z-]+):.*##", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    )
    named = re.findall(
        r"^\| `make ([a-z-]+)` \|", (ROOT / "README.md").read_text(encoding="utf-8"), re.MULTILINE
    )

    assert set(named) == targets - {"help", "clean"}
