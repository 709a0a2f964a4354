"""Whether a reader's answer to an exercise is right."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def check_answer(answer: T | None, is_right: Callable[[T], bool], *, hint: str) -> str:
    """Return a sentence on a reader's answer to an exercise.

    Args:
        answer: the answer; None if there is none yet.
        is_right: returns True if the answer is right.
        hint: what helps a reader whose answer is not right yet.

    Returns:
        What to do, if there is no answer; else that it is right, or the hint.
    """
    if answer is None:
        return "Write your answer into the cell above, and run both cells."
    try:
        return "Right." if is_right(answer) else f"Not yet. Hint: {hint}"
    except Exception as error:  # an answer of another form, such as a string for a number
        return f"Not yet: {error!r}. Hint: give it the form that the cell above asks for"
