"""The live view: a broker's exchanges, queues and consumers, drawn again some times a second."""

from __future__ import annotations

import atexit
import math
import threading
import time
import weakref
from pathlib import Path

import anywidget
import traitlets
from pika.exceptions import AMQPError

from rmqlab.amqp._diagram import Box, place, svg
from rmqlab.amqp._graph import DEFAULT_EXCHANGE, Graph, Key, Node
from rmqlab.broker import Broker, OwnBroker
from rmqlab.broker._look import Listing, Look
from rmqlab.errors import RmqlabError
from rmqlab.view._replay import written

EVERY_S = 0.1
LIST_EVERY_S = 1.0
AGAIN_S = 0.5
# How old the figures of the management API are, about: of a broker of ours, and of others.
LATE_S = {True: 1, False: 5}
LATE = "#666666"
ROOM = " " * 30  # a line in a box, for a count


class Watch(anywidget.AnyWidget):
    """A picture of a broker that follows it, as the last value of a cell; see `watch`.

    Attributes:
        depths: ready messages and consumers of each queue, as last seen.
        seen_s: when that was, by `time.monotonic`.
    """

    _esm = Path(__file__).with_name("watch.js")
    picture = traitlets.Unicode().tag(sync=True)  # SVG
    words = traitlets.Unicode().tag(sync=True)  # why the picture is not of this moment, if so

    def __init__(self, broker: Broker) -> None:
        super().__init__()
        self.depths: dict[str, tuple[int, int]] = {}
        self.seen_s = -math.inf
        self._broker = broker
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="rmqlab-watch", daemon=True)
        atexit.register(self.close)
        self._thread.start()

    def close(self) -> None:
        """Stop following the broker, and leave the last picture. Safe to call twice."""
        self._ended.set()
        if self._thread is not threading.current_thread():
            self._thread.join(10)
        atexit.unregister(self.close)
        if _watching.get(self._broker) is self:
            del _watching[self._broker]

    def __repr__(self) -> str:  # anywidget shows it where there is no kernel
        return "A live view. It needs a kernel: run this cell in JupyterLab."

    def _follow(self) -> None:
        while not self._ended.is_set():
            try:
                with self._broker.look() as look:
                    self._follow_over(look)
            except (RmqlabError, AMQPError, OSError):
                if self._broker.is_stopped:
                    self.words = "The broker is stopped."
                    return
                self.words = "The broker does not answer. It is looked for again."
                self._ended.wait(AGAIN_S)

    def _follow_over(self, look: Look) -> None:
        late_s = LATE_S[isinstance(self._broker, OwnBroker)]
        listed_s = -math.inf
        while not self._ended.wait(EVERY_S):
            if time.monotonic() - listed_s >= LIST_EVERY_S:
                listed_s, listing = time.monotonic(), look.listing()
                graph = _graph(listing)
                boxes, drawn = place(graph), svg(graph).removesuffix("</svg>")
            self.depths, self.seen_s = look.depths(listing.queues), time.monotonic()
            self.picture = f"{drawn}{_counts(boxes, listing, self.depths, late_s)}</svg>"
            self.words = ""


_watching: weakref.WeakKeyDictionary[Broker, Watch] = weakref.WeakKeyDictionary()


def watch(broker: Broker) -> Watch:
    """Show a broker's exchanges, bindings, queues and consumers, and follow it while other cells run.

    Ready messages and consumers are those of the moment, some eight times a second. What the management
    API gives late, unacknowledged messages and rates, is grey and says how old it is. A second call for a
    broker ends the first one's view. It ends with the broker, or by its `close()`.

    Args:
        broker: a running broker.

    Returns:
        What JupyterLab shows as the value of a cell; "Create New View for Output" puts it beside the
        notebook.
    """
    if (before := _watching.pop(broker, None)) is not None:
        before.close()
    _watching[broker] = view = Watch(broker)
    return view


def _graph(listing: Listing) -> Graph:
    graph = Graph()
    for name, kind in listing.exchanges.items():
        graph.nodes["exchange", name] = Node(("exchange", name), (kind,))
    for name in listing.queues:
        graph.nodes["queue", name] = Node(("queue", name), (ROOM, ROOM, ROOM))
    for exchange, queue, routing_key in listing.bindings:
        graph.link(("exchange", exchange), ("queue", queue), routing_key, "binding")
    for name in listing.queues:
        graph.link(DEFAULT_EXCHANGE, ("queue", name), "", "binding")  # each is bound to it by its name
    graph.add_publishers()
    for name in listing.queues:
        consumers: Key = ("consumer", _consumers_of(name))
        graph.nodes[consumers] = Node(consumers, ("",))
        graph.link(("queue", name), consumers, "", "binding")
    return graph


def _counts(boxes: dict[Key, Box], listing: Listing, depths: dict[str, tuple[int, int]], late_s: int) -> str:
    """Write into the boxes what is in each queue and who consumes from it; what is late is grey."""
    most = max((ready for ready, _ in depths.values()), default=0) or 1
    parts = []
    for name, each in listing.queues.items():
        box = boxes["queue", name]
        if name in depths:
            ready, consumers = depths[name]
            parts += [
                f'<rect x="{box.x + 6:.1f}" y="{box.y + box.height - 7:.1f}" '
                f'width="{(box.width - 12) * ready / most:.1f}" height="4" fill="#D55E00"/>',
                written(box, f"{ready} ready"),
                written(boxes["consumer", _consumers_of(name)], f"{consumers} now"),
            ]
        else:
            parts.append(written(box, "exclusive, or gone"))
        late = []
        if (unacked := each.get("messages_unacknowledged")) is not None:
            late.append(f"{unacked} unacked, {late_s} s ago")
        if rates := each.get("message_stats"):
            into, out = (
                rates.get(f"{what}_details", {}).get("rate", 0) for what in ("publish", "deliver_get")
            )
            late.append(f"{into:.0f}/s in, {out:.0f}/s out")
        parts += [written(box, words, row, LATE) for row, words in enumerate(late, 2)]
    return "".join(parts)


def _consumers_of(queue: str) -> str:
    return f"consumers of {queue}"
