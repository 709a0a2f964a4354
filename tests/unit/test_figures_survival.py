"""Figures of what survives a killed broker, and of what confirms cost."""

from __future__ import annotations

import matplotlib as mpl
import matplotlib.pyplot as plt
import pandas as pd
import pytest
from matplotlib.figure import Figure

from rmqlab import experiments

mpl.use("agg")

NAN = float("nan")
FATES = {
    ("classic", "transient", "none"): (100, 0),
    ("classic", "transient", "confirmed"): (90, 0),
    ("classic", "persistent", "none"): (100, 97),
    ("classic", "persistent", "confirmed"): (1200, 1200),
    ("old", "transient", "none"): (0, 0),
    ("old", "transient", "confirmed"): (0, 0),
    ("old", "persistent", "none"): (0, 0),
    ("old", "persistent", "confirmed"): (0, 0),
}
SURVIVAL = pd.DataFrame(
    [
        {
            **dict(zip(("queue", "message", "confirms"), key, strict=True)),
            "presumed_safe": presumed_safe,
            "survived": survived,
            "lost": presumed_safe - survived,
        }
        for key, (presumed_safe, survived) in FATES.items()
    ]
)
COSTS = pd.DataFrame(
    {
        "strategy": ["none", "each", "window 500"] * 2,
        "rate_msg_s": [30_000.0, 1_000.0, 20_000.0, 34_000.0, 1_200.0, 22_000.0],
        "confirm_median_ms": [NAN, 0.5, 16.0] * 2,
        "confirm_p95_ms": [NAN, 1.0, 30.0] * 2,
        "confirm_p99_ms": [NAN, 2.0, 40.0] * 2,
    }
)


@pytest.fixture(params=["survival", "cost"])
def figure(request: pytest.FixtureRequest) -> Figure:
    if request.param == "survival":
        return experiments.plot_survival(SURVIVAL)
    return experiments.plot_confirm_cost(COSTS)


def test_axes_are_labelled(figure: Figure) -> None:
    for axes in figure.axes:
        assert axes.get_xlabel()
        assert [text.get_text() for text in axes.get_yticklabels()]
        assert axes.get_title(loc="left")


def test_a_figure_is_not_pyplots_any_more(figure: Figure) -> None:
    assert figure.number not in plt.get_fignums() if hasattr(figure, "number") else True
    assert not plt.get_fignums()


def test_each_cell_says_what_survived() -> None:
    (axes,) = experiments.plot_survival(SURVIVAL).axes
    texts = [text.get_text() for text in axes.texts]

    assert texts[:4] == [
        "0 of 100\n100 lost",
        "97 of 100\n3 lost",
        "0 of 90\n90 lost",
        "1,200 of 1,200\nnothing lost",
    ]
    assert texts[4:] == ["refused"] * 4


def test_columns_without_confirms_come_first() -> None:
    (axes,) = experiments.plot_survival(SURVIVAL).axes

    assert [text.get_text() for text in axes.get_xticklabels()] == [
        "transient\nno confirms",
        "persistent\nno confirms",
        "transient\nconfirmed",
        "persistent\nconfirmed",
    ]


def test_the_title_says_what_loses_nothing() -> None:
    (axes,) = experiments.plot_survival(SURVIVAL).axes
    assert axes.get_title(loc="left") == "1 of 8 combinations lose nothing, and all of these are confirmed"

    everything = SURVIVAL.assign(presumed_safe=9, survived=9, lost=0)
    (axes,) = experiments.plot_survival(everything).axes
    assert axes.get_title(loc="left") == "8 of 8 combinations lose nothing"


def test_the_titles_of_the_costs_compare_medians() -> None:
    left, right = experiments.plot_confirm_cost(COSTS).axes

    assert left.get_title(loc="left") == "window 500 is 19 times as fast as each"
    assert right.get_title(loc="left") == "A confirm takes 0.5 to 16 ms"
    assert [text.get_text() for text in right.texts] == ["no confirms"]
