"""Figures of crashes, poison tasks and acknowledgements."""

from __future__ import annotations

import matplotlib as mpl
import matplotlib.pyplot as plt
import pandas as pd
import pytest
from matplotlib.figure import Figure

from rmqlab import experiments

mpl.use("agg")


def _tasks(outcomes: list[str | None], deliveries: list[int]) -> pd.DataFrame:
    count = len(outcomes)
    return pd.DataFrame(
        {
            "message": range(count),
            "outcome": outcomes,
            "deliveries": deliveries,
            "settled_s": [0.1 * (number + 1) for number in range(count)],
        }
    )


CRASHED = {
    "auto": _tasks(["acked", None, None], [1, 1, 0]),
    "each": _tasks(["acked", "acked", "acked"], [1, 2, 1]),
}
POISONED = {
    "requeue": _tasks(["acked", "requeued", None], [1, 5000, 0]),
    "dead-letter": _tasks(["acked", "rejected", "acked"], [1, 1, 1]),
}
BATCHES = pd.DataFrame(
    {
        "n": [1, 10, 100],
        "acked_msg_s": [10_000.0, 20_000.0, 21_000.0],
        "acked_msg_s_low": [9_000.0, 19_000.0, 20_000.0],
        "acked_msg_s_high": [11_000.0, 21_000.0, 22_000.0],
        "repeated": [0.0, 9.0, 99.0],
    }
)


@pytest.fixture(params=["fates", "poison", "batches"])
def figure(request: pytest.FixtureRequest) -> Figure:
    return {
        "fates": lambda: experiments.plot_fates(CRASHED),
        "poison": lambda: experiments.plot_poison(POISONED),
        "batches": lambda: experiments.plot_ack_batches(BATCHES),
    }[request.param]()


def test_axes_are_labelled(figure: Figure) -> None:
    for axes in figure.axes:
        assert axes.get_xlabel()
        assert axes.get_ylabel() or [label.get_text() for label in axes.get_yticklabels()]


def test_titles_state_findings_and_fit(figure: Figure) -> None:
    figure.draw_without_rendering()
    edges = [axes.get_tightbbox().x1 for axes in figure.axes]

    for axes in figure.axes:
        assert any(character.isdigit() for character in axes.get_title(loc="left"))
    assert max(edges) <= figure.bbox.x1
    if len(figure.axes) == 2:
        left, right = figure.axes
        assert left.get_tightbbox().x1 <= right.get_tightbbox().x0


def test_no_figure_stays_open_in_pyplot(figure: Figure) -> None:
    assert figure.axes
    assert plt.get_fignums() == []


def test_fates_count_what_was_lost_and_what_was_delivered_again() -> None:
    (axes,) = experiments.plot_fates(CRASHED).axes

    assert axes.get_title(loc="left") == "One worker crashes: auto loses 2, each none"
    texts = [text.get_text() for text in axes.texts]
    assert texts == [
        *("done: 1", "delivered again: 0", "lost: 2"),
        *("done: 3", "delivered again: 1", "lost: 0"),
    ]


def test_poison_shows_good_tasks_over_time_and_failed_deliveries() -> None:
    left, right = experiments.plot_poison(POISONED).axes

    assert left.get_title(loc="left") == "requeue: 1 of 2 good tasks"
    assert right.get_title(loc="left") == "5,000 failures instead of 1"
    assert [bar.get_width() for bar in right.patches] == [5000, 1]
    assert {text.get_text() for text in left.texts} == {"requeue", "dead-letter"}


def test_batches_show_gain_and_price() -> None:
    left, right = experiments.plot_ack_batches(BATCHES).axes

    assert left.get_title(loc="left") == "The gain: up to 2.1 times the rate"
    assert right.get_title(loc="left") == "The price: up to 99 are done twice"
    assert list(right.get_lines()[0].get_ydata()) == [0, 9, 99]
