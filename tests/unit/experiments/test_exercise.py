"""What a reader hears of an answer."""

from __future__ import annotations

import re

import pytest

from rmqlab.experiments import check_answer


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (None, "Write your answer"),
        (7, "Right."),
        (8, "Not yet. Hint: count the days of a week"),
        ("seven", "Not yet: .* Hint: give it the form"),
    ],
)
def test_an_answer_is_missing_right_or_gets_a_hint(answer, says: str) -> None:
    said = check_answer(answer, lambda days: days - 7 == 0, hint="count the days of a week")

    assert re.match(says, said)
