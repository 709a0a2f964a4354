"""Topology as data, and how it is drawn."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest

from rmqlab.amqp import Binding, Exchange, Queue, Topology

SVG = "{http://www.w3.org/2000/svg}"


def _drawn(topology: Topology) -> tuple[str, ElementTree.Element]:
    """Return what a notebook gets: a text and a picture."""
    bundle = topology._repr_mimebundle_(include=None, exclude=None)
    assert set(bundle) == {"image/svg+xml", "text/plain"}
    return bundle["text/plain"], ElementTree.fromstring(bundle["image/svg+xml"])


def test_a_topology_is_drawn_with_what_it_only_refers_to() -> None:
    topology = Topology(
        exchanges=[Exchange(name="events", type="fanout"), Exchange(name="routing", type="direct")],
        queues=[
            Queue(name="tasks", dead_letter_exchange="dead", dead_letter_routing_key="late"),
            Queue(name="urgent", max_priority=10, dead_letter_exchange="", dead_letter_routing_key="tasks"),
        ],
        bindings=[
            Binding(exchange="events", queue="tasks"),
            Binding(exchange="routing", queue="urgent", routing_key="high-priority"),
        ],
    )
    text, picture = _drawn(topology)

    assert text.splitlines() == [
        "exchange events (fanout)",
        "    --> queue tasks",
        "exchange routing (direct)",
        "    -- high-priority --> queue urgent",
        "queue tasks (classic)",
        "    .. dead letter, late ..> exchange dead",
        "queue urgent (classic, max_priority 10)",
        "    .. dead letter ..> queue tasks",
        "exchange dead",
    ]
    # Two dead letters, and the box of the exchange that this topology only refers to.
    assert ElementTree.tostring(picture).count(b"stroke-dasharray") == 3


@pytest.mark.parametrize("name", ['a"b', "<x>", "a&b", "日本ü", "\u202eab", "\x00\x1b", "a\tb"])
def test_any_name_can_be_drawn(name: str) -> None:
    topology = Topology(
        exchanges=[Exchange(name=name, type="topic")],
        queues=[Queue(name=name)],
        bindings=[Binding(exchange=name, queue=name, routing_key=name)],
    )
    shown = "".join(each if each.isprintable() else "\ufffd" for each in name)
    text, picture = _drawn(topology)

    assert [each.text for each in picture.iter(f"{SVG}text")].count(shown) == 3
    assert f"queue {shown} (classic)" in text


@pytest.mark.parametrize(("exchanges", "queues"), [(1, 0), (1, 1), (3, 40)])
def test_boxes_and_labels_never_overlap(exchanges: int, queues: int) -> None:
    topology = Topology(
        exchanges=[Exchange(name=f"exchange-{n}", type="topic") for n in range(exchanges)],
        queues=[Queue(name=f"queue-{n}", dead_letter_exchange="dead") for n in range(queues)],
        bindings=[
            Binding(exchange=f"exchange-{e}", queue=f"queue-{q}", routing_key=f"key-{e}-{q}")
            for e in range(exchanges)
            for q in range(queues)
        ],
    )
    _, picture = _drawn(topology)
    labels = [
        (float(each.attrib["x"]), float(each.attrib["y"]) - 11, len(each.text or "") * 6.7, 11.0)
        for each in picture.iter(f"{SVG}text")
        if each.attrib["text-anchor"] == "start"
    ]
    _background, *rects = picture.iter(f"{SVG}rect")
    boxes = [tuple(float(each.attrib[key]) for key in ("x", "y", "width", "height")) for each in rects]

    assert len(labels) == exchanges * queues + queues
    everything = boxes + labels
    assert [
        (a, b)
        for at, a in enumerate(everything)
        for b in everything[:at]
        if a[0] < b[0] + b[2] and b[0] < a[0] + a[2] and a[1] < b[1] + b[3] and b[1] < a[1] + a[3]
    ] == []


def test_a_circle_has_an_entry() -> None:
    """Work that is retried later: the queue of waiting tasks hands them back to the queue of tasks."""
    topology = Topology(
        queues=[
            Queue(name="work", dead_letter_exchange="", dead_letter_routing_key="wait"),
            Queue(name="wait", dead_letter_exchange="", dead_letter_routing_key="work"),
        ]
    )
    assert "default exchange\n    -- work --> queue work" in _drawn(topology)[0]


@pytest.mark.parametrize("name", ["a\nb", "a\rb"])
def test_a_name_of_two_lines_is_refused_as_pika_would_wait_for_it_forever(name: str) -> None:
    with pytest.raises(ValueError, match="it goes on one line"):
        Queue(name=name)
