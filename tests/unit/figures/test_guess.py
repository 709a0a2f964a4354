"""A reader's guess in a figure."""

from __future__ import annotations

import pytest

from rmqlab.figures import mark_guess, new_figure


@pytest.fixture
def figure():
    with new_figure(1, 2) as (figure, _):
        return figure


def test_no_guess_leaves_the_figure_as_it_is(figure) -> None:
    assert mark_guess(figure) is figure
    assert [len(axes.lines) + len(axes.texts) for axes in figure.axes] == [0, 0]


@pytest.mark.parametrize("along", ["x", "y"])
def test_a_guess_is_a_named_line_in_its_panel(figure, along: str) -> None:
    mark_guess(figure, **{along: 3}, panel=1)

    first, second = figure.axes
    (line,) = second.lines
    assert set(line.get_xdata() if along == "x" else line.get_ydata()) == {3}
    assert [text.get_text() for text in second.texts] == ["your guess"]
    assert not first.lines
