"""Reference runs: numbers laid beside those that the repository stores."""

from __future__ import annotations

import math
import re
from pathlib import Path

import pandas as pd
import pika
import pytest

from rmqlab.errors import DataError
from rmqlab.measure import _reference, compare_to_reference, read_reference

MINE = pd.DataFrame(
    {
        "prefetch": [1, 10, 0],
        "acks": ["each", "each", "auto"],
        "rate_msg_s": [3012.7, 7711.2, 51234.5],
        "jain": [0.99951, 0.5, math.nan],
        "messages": [12345, 12345, 999],
        "rabbitmq": "4.0.5",
    }
)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(_reference, "FOLDER", tmp_path)
    monkeypatch.delenv("RMQLAB_KEEP_REFERENCE", raising=False)
    return tmp_path


@pytest.fixture
def keep(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RMQLAB_KEEP_REFERENCE", "1")


def test_each_value_stands_beside_that_of_the_reference_run(folder: Path) -> None:
    (folder / "05_prefetch.csv").write_text("prefetch,rate_msg_s,jain\n10,8000.4,0.51\n1,2999.9,1\n")

    beside = compare_to_reference(MINE, "05_prefetch", by="prefetch", values=["rate_msg_s", "jain"])

    assert list(beside.columns) == [
        *("prefetch", "rate_msg_s", "rate_msg_s_reference", "jain", "jain_reference")
    ]
    assert list(beside["prefetch"]) == [1, 10, 0]
    assert list(beside["rate_msg_s"]) == [3010, 7710, 51200]
    assert list(beside["rate_msg_s_reference"].fillna(-1)) == [3000, 8000, -1]
    assert list(beside["jain"].fillna(-1)) == [1, 0.5, -1]
    assert list(beside["jain_reference"].fillna(-1)) == [1, 0.51, -1]


def test_without_a_reference_run_its_columns_are_empty_and_none_is_kept_unasked(folder: Path) -> None:
    beside = compare_to_reference(MINE, "05_prefetch", by="prefetch", values="rate_msg_s")

    assert beside["rate_msg_s_reference"].isna().all()
    assert beside["rate_msg_s_reference"].dtype == float
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize(
    ("mine", "stored"),
    [
        ([1, 10], "1\n10"),
        ([1.0, 10.0], "1\n10"),
        ([1, 10], "1.0\n10.0"),
        ([0.1, 0.3], "0.1\n0.3"),
        ([True, False], "True\nFalse"),
        (["none", "each"], "none\neach"),
        (["NA", "null"], "NA\nnull"),
    ],
)
def test_rows_are_found_whatever_the_type_of_what_tells_them_apart(
    folder: Path, mine: list[object], stored: str
) -> None:
    first, second = stored.split("\n")
    (folder / "any.csv").write_text(f"case,time_s\n{second},2\n{first},1\n")

    beside = compare_to_reference(
        pd.DataFrame({"case": mine, "time_s": 0.5}), "any", by="case", values="time_s"
    )

    assert list(beside["time_s_reference"]) == [1, 2]


def test_a_run_is_never_compared_with_itself(folder: Path, keep: None) -> None:
    def measure(rates: list[float]) -> pd.DataFrame:
        frame = MINE.assign(rate_msg_s=rates)
        return compare_to_reference(frame, "05_kept", by=["prefetch", "acks"], values="rate_msg_s")

    first, second, third = ([3010, 7710, 51200], [2010, 6710, 41200], [1010, 5710, 31200])
    assert measure(first)["rate_msg_s_reference"].isna().all()
    assert list(measure(second)["rate_msg_s_reference"]) == first
    later = measure(third)
    assert list(later["rate_msg_s"]) == third
    assert list(later["rate_msg_s_reference"]) == second


def test_a_kept_run_says_where_and_when_it_was_measured(folder: Path, keep: None) -> None:
    compare_to_reference(MINE, "05_kept", by="prefetch", values="jain")

    stored = pd.read_csv(folder / "05_kept.csv", dtype=str)
    assert list(stored.columns) == [*("prefetch", "jain", "rabbitmq", "pika", "python", "cores", "measured")]
    assert set(stored["rabbitmq"]) == {"4.0.5"}
    assert set(stored["pika"]) == {pika.__version__}
    assert re.fullmatch(r"\d{4}-\d\d-\d\d", stored["measured"][0])


def test_a_run_whose_rows_are_alike_is_not_kept(folder: Path, keep: None) -> None:
    with pytest.raises(ValueError, match="acks do not tell all rows apart"):
        compare_to_reference(MINE, "kept", by="acks", values="jain")

    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("content", [None, b"", b'a,b\n"1', b"\xff\xfe\x00"])
def test_a_file_that_is_broken_or_missing_says_what_to_do(folder: Path, content: bytes | None) -> None:
    if content is not None:
        (folder / "broken.csv").write_bytes(content)

    with pytest.raises(DataError, match=r"broken\.csv cannot be read .*Next: get the file"):
        read_reference("broken")
