"""The comparison of client libraries, without a broker: who takes part, its counts, its figure."""

from __future__ import annotations

import dataclasses
import pickle

import pandas as pd
import pytest

from rmqlab.experiments import plot_clients
from rmqlab.experiments.clients import compare, variants
from rmqlab.experiments.clients.job import ClientJob, Unconfirmed


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
    rates = {
        ("publish", variants.BASELINES["publish"]): [100, 50],
        ("publish", "rmqlab publish, window"): [1000, 500],
        ("consume", variants.BASELINES["consume"]): [7, 7],
    }
    rows = [
        {"role": role, "variant": variant, "round": number, "rate_msg_s": rate}
        for (role, variant), rounds in rates.items()
        for number, rate in enumerate(rounds)
    ]

    assert list(compare.with_ratios(pd.DataFrame(rows))["ratio"]) == [1, 1, 10, 10, 1, 1]


def test_who_is_chosen_is_compared_with_the_baseline_of_the_role() -> None:
    chosen = [each.name for each in variants.choose_variants(["rmqlab"])]

    assert chosen == ["pika BlockingConnection", "rmqlab"]
    with pytest.raises(ValueError, match=r"no variant 'fast'\. Next: name some of 'pika Blocking"):
        variants.choose_variants(["fast"])


@pytest.mark.parametrize(
    ("rate_msg_s", "body_bytes", "count"), [(2000, 256, 2000), (30, 256, 30), (2000, 2**20, 128)]
)
def test_a_run_gets_as_many_messages_as_make_it_long_enough(
    rate_msg_s: int, body_bytes: int, count: int
) -> None:
    job = ClientJob("amqp://", "q", 100, b"." * body_bytes)

    assert compare.calibrate(lambda job: job.count / rate_msg_s, job, wanted_s=1).count == count


def test_a_confirm_of_several_leaves_what_comes_after_it() -> None:
    unconfirmed = Unconfirmed(range(1, 7))
    unconfirmed.confirm(5, False)
    unconfirmed.confirm(3, True)

    assert unconfirmed == {4, 6}


def test_what_a_library_raises_is_one_line_without_the_password() -> None:
    variant = dataclasses.replace(variants.VARIANTS[0], work=_fail)
    job = ClientJob("amqp://user:password@127.0.0.1:1/", "q", 1, b"x")
    with pytest.raises(variants.ClientError) as raised:
        pickle.loads(pickle.dumps(variant)).run(job)  # as in another process

    assert str(raised.value) == "OSError: nobody at amqp://user:***@127.0.0.1:1/"
    assert "password" not in repr(job)


def _fail(job: ClientJob) -> float:
    raise OSError(f"nobody at {job.url}\nand more")


@pytest.mark.parametrize("with_reference", [False, True])
def test_a_figure_states_its_finding_and_prints_each_interval(with_reference: bool) -> None:
    reference = _runs(base=[1, 1, 1], old=[3, 4, 5]) if with_reference else None
    figure = plot_clients(_runs(base=[1, 1, 1], fast=[8, 20, 21]), reference)

    (axes,) = figure.axes
    texts = {text.get_text() for text in axes.texts}
    rows = [label.get_text() for label in axes.get_yticklabels()]
    assert figure.get_suptitle() == "Publishing: fast, 20 times as fast as plain pika"
    assert "20 \N{MULTIPLICATION SIGN}  (8 to 21)" in texts
    assert ("4 \N{MULTIPLICATION SIGN}  (3 to 5)" in texts) == with_reference
    assert rows == ["publishing", "fast", *(["old"] if with_reference else []), "base"]
    assert ("reference" in axes.get_xlabel()) == with_reference
