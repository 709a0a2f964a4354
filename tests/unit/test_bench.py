"""The bench, without a broker: how it counts, compares, summarizes and draws."""

from __future__ import annotations

import dataclasses
import io
import json
import sys

import matplotlib as mpl
import pandas as pd
import pytest

from rmqlab.experiments.clients import BenchError, Library, Outcome, Result, Suite, Variant, find_suites
from rmqlab.experiments.clients import _child as child
from rmqlab.experiments.clients import _runner as runner
from rmqlab.experiments.clients._figures import plot_rates, to_svg
from rmqlab.experiments.clients._frames import summarize, to_frame
from rmqlab.experiments.clients._model import PIKA, Stopwatch, Workload
from rmqlab.experiments.clients._report import write_report
from rmqlab.experiments.clients._tables import cells, finding, headings, times

mpl.use("agg")

ABSENT = Library("rabbit-hole", "no_such_module_anywhere", "rabbit-hole")
WHERE: dict[str, str | int] = {
    "rabbitmq": "4.0.5",
    "pika": "1.4.4",
    "python": "3.11.2",
    "cores": 2,
    "source": "node",
    "date": "2026-01-31",
}


def _do_nothing(order: Workload, stopwatch: Stopwatch) -> None: ...


def _contestant(name: str, group: str = "", *, baseline: bool = False) -> Variant:
    return Variant(name, PIKA, "publish", _do_nothing, group=group, baseline=baseline)


BASE, FAST = _contestant("base", baseline=True), _contestant("fast")
SUITE = Suite("publish", "A title", "A method.", "fast", (BASE, FAST))


def _results(suite: Suite, seconds: dict[Variant, list[float]]) -> list[Result]:
    return [
        Result(suite.name, variant, number, 100, taken)
        for variant, rounds in seconds.items()
        for number, taken in enumerate(rounds, start=1)
    ]


@pytest.fixture
def frame() -> pd.DataFrame:
    # The machine is twice as slow in the second round, and busy with something in the third.
    return to_frame(_results(SUITE, {BASE: [1.0, 2.0, 1.0], FAST: [0.1, 0.2, 1.0]}), WHERE)


def test_a_ratio_is_that_of_the_rates_in_the_same_round(frame: pd.DataFrame) -> None:
    fast = frame[frame["variant"] == "fast"]

    assert list(fast["ratio"]) == pytest.approx([10, 10, 1])
    assert list(frame[frame["variant"] == "base"]["ratio"]) == [1, 1, 1]


def test_a_frame_has_one_row_a_run_with_parameters_and_provenance(frame: pd.DataFrame) -> None:
    assert len(frame) == 6
    assert list(frame["rate_msg_s"].head(2)) == [100, 50]
    assert set(WHERE) <= set(frame)
    assert {"confirms", "prefetch", "ack", "body_bytes", "processes", "version"} <= set(frame)


def test_a_summary_tells_medians_and_spread_the_fastest_first(frame: pd.DataFrame) -> None:
    summary = summarize(frame, [SUITE])

    fast, base = summary.to_dict("records")
    assert (fast["variant"], base["variant"]) == ("fast", "base")
    assert fast["runs"] == 3
    assert fast["rate_msg_s"] == pytest.approx(500)
    assert (fast["rate_msg_s_low"], fast["rate_msg_s_high"]) == pytest.approx((100, 1000))
    assert (fast["ratio"], fast["ratio_low"], fast["ratio_high"]) == pytest.approx((10, 1, 10))
    assert (fast["focus_ratio"], base["focus_ratio"]) == pytest.approx((1, 10))


def test_each_group_is_measured_by_its_own_baseline() -> None:
    variants = tuple(
        _contestant(name, group, baseline=name == "base")
        for group in ("16 B", "4 KiB")
        for name in ("base", "fast")
    )
    suite = dataclasses.replace(SUITE, variants=variants)
    seconds = dict(zip(variants, ([1.0], [0.5], [4.0], [1.0]), strict=True))
    summary = summarize(to_frame(_results(suite, seconds), WHERE), [suite])

    assert list(summary["group"]) == ["16 B", "16 B", "4 KiB", "4 KiB"]
    assert list(summary["ratio"]) == pytest.approx([2, 1, 4, 1])
    assert finding(summary, suite) == "fast: 2.0 to 4.0 times as fast as base"


def test_rates_count_without_a_baseline_and_ratios_stay_empty() -> None:
    frame = to_frame(_results(SUITE, {FAST: [0.1]}), WHERE)
    summary = summarize(frame, [SUITE])

    assert summary["rate_msg_s"].tolist() == pytest.approx([1000])
    assert summary["ratio"].isna().all()
    assert finding(summary, SUITE) == "A title"
    assert cells(next(summary.itertuples()))[3:5] == ("", "")


def test_nothing_to_summarize_gives_an_empty_summary() -> None:
    assert summarize(to_frame([], WHERE), [SUITE]).empty


@pytest.mark.parametrize(("ratio", "text"), [(0.078, "0.08"), (1.0, "1.00"), (2.345, "2.3"), (19.4, "19")])
def test_ratios_are_written_with_the_digits_that_can_be_believed(ratio: float, text: str) -> None:
    assert times(ratio) == text


# --- calibration ---------------------------------------------------------------------------


def test_the_next_count_makes_a_run_as_long_as_it_is_to_be() -> None:
    assert runner.next_count(1000, 0.5, wanted_s=1, body_bytes=256) == 2000
    assert runner.next_count(1000, 4.0, wanted_s=1, body_bytes=256) == 250


def test_a_short_first_run_is_not_trusted_for_a_long_one() -> None:
    assert runner.next_count(100, 0.0001, wanted_s=1, body_bytes=256) == 2000
    assert runner.next_count(100, 0.0, wanted_s=1, body_bytes=256) == 2000


def test_a_count_is_above_0_and_no_more_than_a_broker_holds_with_ease() -> None:
    assert runner.next_count(1, 60.0, wanted_s=0.1, body_bytes=256) == 1
    assert runner.next_count(200_000, 0.1, wanted_s=1, body_bytes=16) <= runner.MAX_COUNT
    assert runner.next_count(5000, 0.1, wanted_s=1, body_bytes=65536) * 65536 <= runner.MAX_BODIES_BYTES


# --- suites --------------------------------------------------------------------------------


def test_every_group_has_one_baseline_one_focus_and_names_of_its_own() -> None:
    for suite in find_suites([]):
        groups: dict[str, list[Variant]] = {}
        for each in suite.variants:
            groups.setdefault(each.group, []).append(each)
        for group, members in groups.items():
            assert [each.baseline for each in members].count(True) == 1, (suite.name, group)
            assert [each.name for each in members].count(suite.focus) == 1, (suite.name, group)
            assert len({each.name for each in members}) == len(members), (suite.name, group)


def test_a_suite_is_found_by_its_name_and_an_unknown_one_is_an_error() -> None:
    assert [suite.name for suite in find_suites(["size", "publish"])] == ["size", "publish"]
    with pytest.raises(BenchError, match=r"no suite 'speed'.*publish, consume"):
        find_suites(["speed"])


def test_a_library_that_is_not_installed_is_left_out_with_a_word_on_how_to_install_it() -> None:
    absent = dataclasses.replace(_contestant("other"), library=ABSENT)
    suite = dataclasses.replace(SUITE, variants=(BASE, absent))

    assert runner.installed(suite) == (BASE,)
    assert (
        runner.missing([suite])
        == "Left out, as not installed: rabbit-hole. Next: pip install 'rmqlab[bench]'"
    )
    assert runner.missing([SUITE]) == ""


# --- the process of a variant -------------------------------------------------------------


def test_a_stopwatch_waits_at_its_gate_before_it_starts() -> None:
    passed: list[bool] = []
    stopwatch = Stopwatch(gate=lambda: passed.append(True))
    with stopwatch:
        assert passed

    assert stopwatch.seconds >= 0


def test_an_error_in_a_contestants_process_is_told_in_one_line_without_the_password(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    url = "amqp://user:password@127.0.0.1:1/"
    order = dataclasses.asdict(Workload(url, "q", 1))
    job = {"work": f"{__name__}:fail", "arguments": {}, "order": order}
    monkeypatch.setattr(sys, "stdin", io.StringIO(json.dumps(job) + "\n"))
    monkeypatch.setattr(child.os, "_exit", lambda code: None)

    child.main()

    said = json.loads(capfd.readouterr().out)
    assert said == {"error": "OSError: nobody at amqp://user:***@127.0.0.1:1/"}


def fail(order: Workload, stopwatch: Stopwatch) -> None:
    raise OSError(f"nobody at {order.url}\nand more")


def test_an_order_does_not_show_the_password() -> None:
    assert "password" not in repr(Workload("amqp://user:password@host/", "q", 1))


# --- figures and the report ------------------------------------------------------------------


def test_a_figure_states_its_finding_and_labels_each_dot(frame: pd.DataFrame) -> None:
    figure = plot_rates(summarize(frame, [SUITE]), SUITE)

    (axes,) = figure.axes
    assert figure.get_suptitle() == "fast: 10 times as fast as base"
    assert "messages a second" in axes.get_xlabel()
    assert [label.get_text() for label in axes.get_yticklabels()] == ["fast", "base"]
    assert any(text.get_text().startswith("500 ") for text in axes.texts)


def test_the_same_figure_is_the_same_svg(frame: pd.DataFrame) -> None:
    summary = summarize(frame, [SUITE])

    assert to_svg(plot_rates(summary, SUITE)) == to_svg(plot_rates(summary, SUITE))


def test_the_report_is_one_page_that_needs_no_network(frame: pd.DataFrame, tmp_path) -> None:
    outcome = Outcome(SUITE, (), ("third <failed>",))
    page = write_report([outcome], frame, WHERE, tmp_path / "bench")

    text = page.read_text(encoding="utf-8")
    assert "<svg" in text
    assert "<script" not in text
    assert "src=" not in text
    assert "third &lt;failed&gt;" in text
    assert "RabbitMQ 4.0.5" in text
    for heading in headings(SUITE):
        assert heading in text
    assert len(pd.read_csv(page.parent / "bench.csv")) == len(frame)


def test_a_suite_in_which_everybody_failed_is_reported_too(tmp_path) -> None:
    page = write_report([Outcome(SUITE, (), ("base failed",))], to_frame([], WHERE), WHERE, tmp_path)

    assert "base failed." in page.read_text(encoding="utf-8")
