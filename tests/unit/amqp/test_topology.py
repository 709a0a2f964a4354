"""Topology as data, and how it is drawn."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest

from rmqlab.amqp import Binding, Exchange, Queue, Topology

SVG = "{http://www.w3.org/2000/svg}"

ENGINE = Topology(
    exchanges=(
        Exchange(name="engine:events", type="fanout"),
        Exchange(name="engine:routing", type="direct"),
    ),
    queues=(Queue(name="engine:tasks"), Queue(name="engine:urgent", max_priority=10)),
    bindings=(
        Binding(exchange="engine:events", queue="engine:tasks"),
        Binding(exchange="engine:routing", queue="engine:urgent", routing_key="high-priority"),
    ),
)
ENGINE_TEXT = """\
exchange engine:events (fanout)
    --> queue engine:tasks
exchange engine:routing (direct)
    -- high-priority --> queue engine:urgent
queue engine:tasks (classic)
queue engine:urgent (classic, max_priority 10)"""


@pytest.mark.parametrize("name", ["two\nlines", "two\rlines"])
def test_a_name_for_which_pika_would_wait_in_vain_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="goes on one line"):
        Queue(name=name)


def test_the_engines_topology_as_text() -> None:
    assert ENGINE.text() == ENGINE_TEXT


def test_a_notebook_gets_a_picture_and_a_text() -> None:
    bundle = ENGINE._repr_mimebundle_(include=None, exclude=None)
    assert bundle == {"image/svg+xml": ENGINE.svg(), "text/plain": ENGINE.text()}


def _texts(svg: str) -> list[str]:
    return [each.text or "" for each in ElementTree.fromstring(svg).iter(f"{SVG}text")]


@pytest.mark.parametrize("name", ['a"b', "<x>", "a&b", "日本ü", "\u202eab", "\x00\x1b", "a\tb"])
def test_any_name_can_be_drawn(name: str) -> None:
    topology = Topology(
        exchanges=[Exchange(name=name, type="topic")],
        queues=[Queue(name=name)],
        bindings=[Binding(exchange=name, queue=name, routing_key=name)],
    )
    shown = "".join(each if each.isprintable() else "\ufffd" for each in name)

    assert _texts(topology.svg()).count(shown) == 3
    assert f"queue {shown} (classic)" in topology.text()


def test_dead_letters_and_the_unroutable_are_dashed() -> None:
    topology = Topology(
        exchanges=[
            Exchange(name="in", type="direct", alternate_exchange="elsewhere"),
            Exchange(name="dead", type="fanout"),
        ],
        queues=[
            Queue(name="work", dead_letter_exchange="dead", dead_letter_routing_key="late"),
            Queue(name="end"),
        ],
        bindings=[
            Binding(exchange="in", queue="work", routing_key="k"),
            Binding(exchange="dead", queue="end"),
        ],
    )
    assert "    .. dead letter, late ..> exchange dead" in topology.text()
    assert "    .. unroutable ..> exchange elsewhere" in topology.text()
    # Two arrows, and the box of the exchange that this topology only refers to.
    assert topology.svg().count("stroke-dasharray") == 3


def _boxes(svg: str) -> list[tuple[float, float, float, float]]:
    _background, *rects = ElementTree.fromstring(svg).iter(f"{SVG}rect")
    boxes = [each.attrib for each in rects]
    return [tuple(float(each[key]) for key in ("x", "y", "width", "height")) for each in boxes]


@pytest.mark.parametrize(("exchanges", "queues"), [(1, 0), (1, 1), (3, 8), (3, 40)])
def test_boxes_and_labels_never_overlap(exchanges: int, queues: int) -> None:
    topology = Topology(
        exchanges=[Exchange(name=f"exchange-{n}", type="topic") for n in range(exchanges)],
        queues=[Queue(name=f"queue-{n}", dead_letter_exchange="exchange-0") for n in range(queues)],
        bindings=[
            Binding(exchange=f"exchange-{e}", queue=f"queue-{q}", routing_key=f"key-{e}-{q}")
            for e in range(exchanges)
            for q in range(queues)
        ],
    )
    svg = topology.svg()
    labels = [
        (float(each.attrib["x"]), float(each.attrib["y"]) - 11, len(each.text or "") * 6.7, 11.0)
        for each in ElementTree.fromstring(svg).iter(f"{SVG}text")
        if each.attrib["text-anchor"] == "start"
    ]
    assert len(labels) == exchanges * queues + queues
    everything = _boxes(svg) + labels
    assert [
        (a, b)
        for at, a in enumerate(everything)
        for b in everything[:at]
        if a[0] < b[0] + b[2] and b[0] < a[0] + a[2] and a[1] < b[1] + b[3] and b[1] < a[1] + a[3]
    ] == []


def test_a_circle_has_an_entry_and_a_way_back_below_the_boxes() -> None:
    """Work that is retried later: the queue of waiting tasks hands them back to the queue of tasks."""
    topology = Topology(
        queues=[
            Queue(name="work", dead_letter_exchange="", dead_letter_routing_key="wait"),
            Queue(name="wait", dead_letter_exchange="", dead_letter_routing_key="work"),
        ]
    )
    assert "default exchange\n    -- work --> queue work" in topology.text()
    svg = topology.svg()
    height = float(ElementTree.fromstring(svg).attrib["height"])
    assert height > max(y + box_height for _, y, _, box_height in _boxes(svg)) + 16
