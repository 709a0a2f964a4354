"""What confirms cost."""

from __future__ import annotations

from rmqlab import names
from rmqlab.amqp import confirm_window, fire_and_forget
from rmqlab.experiments import ConfirmsConfig, measure_confirms


def test_a_publisher_is_measured_until_all_is_confirmed(broker) -> None:
    strategies = {"window 100": confirm_window(100), "none": fire_and_forget()}
    config = ConfirmsConfig(strategies=strategies, seconds=0.1, repeats=2)

    rows = measure_confirms(broker, config, progress=False).frame()

    assert rows[["strategy", "repeat"]].to_numpy().tolist() == [
        *(["window 100", 0], ["none", 0]),
        *(["window 100", 1], ["none", 1]),
    ]
    window, none = (rows[rows["strategy"] == name] for name in strategies)
    assert (window["published"] == window["confirmed"]).all()
    assert (rows["rate_msg_s"] > 0).all()
    assert (window["confirm_median_ms"] > 0).all()
    assert (window["confirm_median_ms"] <= window["confirm_p99_ms"]).all()
    assert (none["confirmed"] == 0).all()
    assert none["confirm_median_ms"].isna().all()
    assert (rows["rabbitmq"] == broker.version).all()
    assert broker.wait_for_queue(names.TASKS, ready=0)["ready"].item() == 0
