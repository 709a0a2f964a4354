"""How fast one consumer gets its messages, by prefetch and over a distance."""

from __future__ import annotations

from rmqlab.engine import EngineAPI, Task
from rmqlab.experiments import PrefetchConfig, consume_load
from rmqlab.measure import Load


def test_each_message_of_a_load_is_done_once_also_after_what_an_earlier_run_left(broker) -> None:
    with EngineAPI(broker) as api:
        api.publish_task(Task("engine-1", "process"))
    config = PrefetchConfig(load=Load(30), delays_ms=[0], prefetches=[0, 7], repeats=2)

    result = consume_load(broker, config, progress=False)

    rows = result.frame()
    assert rows[["prefetch", "repeat"]].to_numpy().tolist() == [[0, 0], [7, 0], [0, 1], [7, 1]]
    assert (rows[["published", "acked"]] == 30).all().all()
    assert (rows["redelivered"] == 0).all()
    assert (rows["rabbitmq"] == broker.version).all()
    assert result.plot().axes
