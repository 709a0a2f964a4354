"""What is on this machine that the lab needs, and what is missing."""

from __future__ import annotations

import platform
import re
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, requires, version

from rmqlab.broker._start import check_sources, chosen_source, sources_to_try
from rmqlab.errors import RmqlabError


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the doctor's table.

    Attributes:
        subject: what was looked at.
        good: whether it can be used; None where it need not be.
        detail: what was found.
        fix: the next step; empty where nothing is to be done.
    """

    subject: str
    good: bool | None
    detail: str
    fix: str = ""


def examine() -> list[Finding]:
    """Look at Python, the packages and every source of a broker. Starts nothing."""
    python = Finding("Python", True, f"{platform.python_version()} on {platform.system()}")
    return [python, *_packages(), *_broker_sources()]


def can_run(findings: list[Finding]) -> bool:
    """Return whether the lab can run: nothing that it needs is missing."""
    return all(finding.good is not False for finding in findings)


def _packages() -> list[Finding]:
    lines = [line for line in requires("rmqlab") or [] if "extra ==" not in line]
    return [_package(name) for name in sorted(re.split(r"[^\w.-]", line, maxsplit=1)[0] for line in lines)]


def _package(name: str) -> Finding:
    try:
        return Finding(name, True, version(name))
    except PackageNotFoundError:
        return Finding(name, False, "missing", "python -m pip install -e . -c constraints.txt")


def _broker_sources() -> list[Finding]:
    try:
        choice, wanted = chosen_source(), sources_to_try()
    except RmqlabError as error:
        return [Finding("broker", False, error.problem, error.next_step)]
    checks = check_sources()
    findings = [
        # One source is enough, so a missing one is no fault as long as there is another.
        Finding(f"broker: {name}", True if check.usable else None, check.detail, check.fix)
        for name, check in checks.items()
    ]
    used = next((name for name in wanted if checks[name].usable), "none")
    fix = "; or ".join(checks[name].fix for name in wanted) if used == "none" else ""
    return [
        *findings,
        Finding("broker to be used", used != "none", f"{used} (RMQLAB_BROKER is {choice})", fix),
    ]
