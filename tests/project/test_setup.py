"""setup.sh, on a Debian of stubs: what it installs never starts a broker of its own accord."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
INSTALL = "apt-get install rabbitmq-server"

pytestmark = pytest.mark.skipif(
    os.name != "posix" or shutil.which("bash") is None, reason="setup.sh is for Debian and Ubuntu"
)


class Debian:
    """A folder with setup.sh, whose commands only note that they were called."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.policy = folder / "policy-rc.d"
        self._log = folder / "log"
        script = (ROOT / "setup.sh").read_text(encoding="utf-8")
        for path, ours in {
            "/usr/lib/rabbitmq/bin/": f"{folder}/rabbitmq/",
            "/run/systemd/system": f"{folder}/systemd",
            "/usr/sbin/policy-rc.d": str(self.policy),
        }.items():
            script = script.replace(path, ours)
        self._write("setup.sh", script)
        for name in ("pyproject.toml", "constraints.txt"):
            (folder / name).touch()
        note = f'echo "{{0}} $*" >>"{self._log}"\n'
        self._write("bin/systemctl", f'[ "$1" != cat ] || exit 1\n{note.format("systemctl")}')
        self._write("bin/invoke-rc.d", "")
        self._write("bin/sudo", '[ "$1" = -n ] && shift\nexec "$@"\n')
        self._write(
            "bin/apt-get",
            "for package; do :; done\n"
            f'[ -x "{self.policy}" ] && state=" under a policy"\n'
            f'echo "apt-get $1 $package$state" >>"{self._log}"\n',
        )
        self._write("bin/python3", "echo Python 3.11.2\n")
        self._write(".venv/bin/python", '[ "$3" != doctor ]\n')  # which finds no broker

    def _write(self, name: str, text: str) -> None:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text if text.startswith("#!") else f"#!/bin/sh\n{text}", encoding="utf-8")
        path.chmod(0o755)

    def set_up(self) -> list[str]:
        done = subprocess.run(
            ["./setup.sh", "test"],
            cwd=self.folder,
            env={"PATH": f"{self.folder}/bin:/usr/bin:/bin", "HOME": str(self.folder)},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return self._log.read_text().splitlines() if self._log.exists() else []


@pytest.fixture
def debian(tmp_path: Path) -> Debian:
    return Debian(tmp_path)


def test_the_unit_is_masked_before_its_package_is_installed(debian: Debian) -> None:
    (debian.folder / "systemd").mkdir()
    calls = debian.set_up()

    (mask,) = [call for call in calls if "mask" in call]
    assert "rabbitmq-server.service" in mask
    assert calls.index(mask) < calls.index(INSTALL)


def test_without_systemd_a_policy_holds_for_the_time_of_the_installation(debian: Debian) -> None:
    calls = debian.set_up()

    assert f"{INSTALL} under a policy" in calls
    assert not debian.policy.exists()


def test_a_policy_that_is_there_stays(debian: Debian) -> None:
    debian.policy.write_text("#!/bin/sh\nexit 104\n")
    calls = debian.set_up()

    assert INSTALL in calls
    assert debian.policy.read_text().endswith("exit 104\n")


def test_a_rabbitmq_that_is_installed_is_left_alone(debian: Debian) -> None:
    (debian.folder / "systemd").mkdir()
    debian._write("rabbitmq/rabbitmq-server", "")

    assert debian.set_up() == []
