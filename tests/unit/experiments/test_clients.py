"""The comparison of client libraries, without a broker: its configuration, its counts, its figure."""

from __future__ import annotations

import dataclasses
import pickle
from typing import Any

import pandas as pd
import pytest

from rmqlab.experiments import ClientsConfig, plot_clients
from rmqlab.experiments.clients import _compare as compare
from rmqlab.experiments.clients import _variants as variants
from rmqlab.experiments.clients._model import ClientError, Library, Stopwatch, Workload

ABSENT = Library("rabbit-hole", "no_such_module_anywhere", "rabbit-hole")


def _runs(**ratios: list[float]) -> pd.DataFrame:
    return pd.DataFrame(
        [
            {"role": "publish", "variant": variant, "library": "pika", "round": number, "ratio": ratio}
            for variant, rounds in ratios.items()
            for number, ratio in enumerate(rounds, start=1)
        ]
    )


def test_a_ratio_is_that_of_the_rates_in_the_same_round_and_role() -> None:
    # The machine is twice as slow in the second round.
    rates = {("publish", True): [100, 50], ("publish", False): [1000, 500], ("consume", True): [7, 7]}
    rows = [
        {"role": role, "is_baseline": is_baseline, "round": number, "rate_msg_s": rate}
        for (role, is_baseline), rounds in rates.items()
        for number, rate in enumerate(rounds)
    ]

    assert list(compare._with_ratio(pd.DataFrame(rows))["ratio"]) == [1, 1, 10, 10, 1, 1]


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"rounds": 0}, "rounds is 0; it must be above 0"),
        ({"seconds": float("nan")}, "seconds is nan"),
        ({"processes": -1}, "processes is -1"),
        ({"prefetch": 10, "ack_every": 11}, "ack_every is 11; it goes up to prefetch, 10"),
    ],
)
def test_a_configuration_that_cannot_work_is_refused(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        ClientsConfig(**settings)


def test_an_unknown_variant_is_an_error_that_names_the_known_ones() -> None:
    with pytest.raises(ValueError, match=r"no variant 'fast'\. Next: name some of 'pika Blocking"):
        variants.choose_variants(["fast"])


def test_a_library_that_is_not_installed_is_left_out_and_named(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    base, other, *_ = variants.VARIANTS
    monkeypatch.setattr(variants, "VARIANTS", (base, dataclasses.replace(other, library=ABSENT)))

    assert variants.choose_variants([]) == ((base,), ("rabbit-hole",))
    assert "Left out, as not installed: rabbit-hole. Next: pip install 'rmqlab[bench]'" in caplog.messages


def test_the_next_count_makes_a_run_as_long_as_it_is_to_be() -> None:
    assert compare.next_count(1000, 0.5, wanted_s=1, body_bytes=256) == 2000
    assert compare.next_count(1000, 4.0, wanted_s=1, body_bytes=256) == 250
    # A short run is not trusted for a long one.
    assert compare.next_count(100, 0.0, wanted_s=1, body_bytes=256) == 2000


def test_what_a_library_raises_is_one_line_without_the_password() -> None:
    variant = dataclasses.replace(variants.VARIANTS[0], work=_fail)
    job = compare.Job(variant, Workload("amqp://user:password@127.0.0.1:1/", "q", 1, 16, 1, 1, 1))
    with pytest.raises(ClientError) as raised:
        pickle.loads(pickle.dumps(job))()  # as in another process

    assert str(raised.value) == "OSError: nobody at amqp://user:***@127.0.0.1:1/"
    assert "password" not in repr(job)


def _fail(workload: Workload, stopwatch: Stopwatch) -> None:
    raise OSError(f"nobody at {workload.url}\nand more")


@pytest.mark.parametrize("with_reference", [False, True])
def test_a_figure_states_its_finding_and_prints_each_interval(with_reference: bool) -> None:
    reference = _runs(base=[1, 1, 1], old=[3, 4, 5]) if with_reference else None
    figure = plot_clients(_runs(base=[1, 1, 1], fast=[8, 20, 21]), reference)

    (axes,) = figure.axes
    texts = {text.get_text() for text in axes.texts}
    rows = [label.get_text() for label in axes.get_yticklabels()]
    assert figure.get_suptitle() == "Publishing: fast, 20 times as fast as plain pika"
    assert "20 \N{MULTIPLICATION SIGN}  (8.0 to 21)" in texts
    assert ("4.0 \N{MULTIPLICATION SIGN}  (3.0 to 5.0)" in texts) == with_reference
    assert rows == ["publishing", "fast", *(["old"] if with_reference else []), "base"]
    assert ("reference" in axes.get_xlabel()) == with_reference
