"""The replay of a recorded run: one piece of HTML that plays without a kernel, and a still picture of it."""

from __future__ import annotations

import base64
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import Any

import numpy as np

from rmqlab.amqp._diagram import INK, LINE_HEIGHT, NAME_SIZE, SMALL_SIZE, Box, place, svg
from rmqlab.amqp._graph import PUBLISHERS, Graph, Key, Node
from rmqlab.errors import LedgerError
from rmqlab.measure import Ledger
from rmqlab.measure._account import Account
from rmqlab.measure._recorders import REJECTED
from rmqlab.view._shown import NEVER, shown_part, ticks

SCRIPT = Path(__file__).with_name("replay.js")
ROOM = " " * 24  # a line in a box, for counts or for messages: it makes the box so wide


@dataclass(frozen=True, slots=True)
class Mark:
    """Something that happened in a run, other than to a message.

    Attributes:
        at_ns: when, by the ledger's clock.
        words: what happened, in a few words, such as `worker-2 crashes`.
        consumer: who ended by it; empty if nobody did.
        connects: True if this consumer connected by it instead.
    """

    at_ns: int
    words: str
    consumer: str = ""
    connects: bool = False


@dataclass(frozen=True, slots=True)
class Scene:
    """A recorded run that can be replayed.

    Attributes:
        ledger: what happened to each message.
        queues: for each consumer's name the name of its queue; `nobody` has one without a consumer.
        exchange: what the messages were published to; empty is the default exchange.
        started_ns: the zero of the times in the run's frames, by the ledger's clock; 0 is the
            first publishing.
        marks: what else happened.
        passing: the queues that come and go with their consumer.
        special: numbers of the messages to be told from the others.
        special_words: what they are, such as `high priority`.
    """

    ledger: Ledger
    queues: Mapping[str, str]
    exchange: str = ""
    started_ns: int = 0
    marks: Sequence[Mark] = ()
    passing: Collection[str] = ()
    special: Collection[int] = ()
    special_words: str = ""


@dataclass(frozen=True, slots=True)
class Replay:
    """A run to look at again: a notebook and the site show it, and it plays without a kernel.

    Attributes:
        sentence: what happened in the run, in words.
        picture: the run's end, as SVG.
        data: the places and the messages, as the player takes them.
    """

    sentence: str
    picture: str = field(repr=False)
    data: dict[str, Any] = field(repr=False)

    def html(self) -> str:
        """Return the piece of HTML: the still picture, the data, and the player."""
        still = base64.b64encode(self.picture.encode()).decode()
        data = json.dumps(self.data, separators=(",", ":"), ensure_ascii=False).replace("<", "\\u003c")
        return (
            f'<div class="rmqlab-replay"><img src="data:image/svg+xml;base64,{still}" '
            f'alt="{escape(self.sentence)}" style="max-width:100%"><p>{escape(self.sentence)}</p>'
            f'<script type="application/json">{data}</script></div>'
            f"<script>{SCRIPT.read_text(encoding='utf-8')}</script>"
        )

    def _repr_mimebundle_(self, **_: object) -> dict[str, str]:
        return {"text/plain": self.sentence, "text/html": self.html(), "image/svg+xml": self.picture}


def replay(scene: Scene) -> Replay:
    """Make the replay of a recorded run.

    Of more than 2,500 messages only each second, third … is shown, and of more than 2,500 deliveries the
    first. The sentence says so.

    Raises:
        LedgerError: nothing was published in the run.
    """
    account = scene.ledger.account()
    if not len(account.messages):
        raise LedgerError("Nothing was published in this run. Next: replay it when it has ended")
    queues = list(dict.fromkeys(scene.queues.values()))
    queue_of = [queues.index(scene.queues[name]) for name in account.consumers]
    started_ns = scene.started_ns or int(account.messages["published_ns"].min())
    columns, every, until_ns = shown_part(
        account, queue_of, scene.special, started_ns, only_queue=len(queues) == 1
    )
    sentence = _sentence(scene, account, started_ns, every, until_ns)
    graph = _graph(scene, account, queues)
    boxes = place(graph)
    data = {
        "sentence": sentence,
        "places": [[key[0], key[1], *_corners(box)] for key, box in boxes.items()],
        "ways": [[list(edge.source), list(edge.target)] for edge in graph.edges],
        "consumers": list(zip(account.consumers, queue_of, strict=True)),
        "queues": [(name, int(name in scene.passing)) for name in queues],
        "marks": [
            (
                ticks(mark.at_ns - started_ns),
                mark.words,
                account.consumers.index(mark.consumer) if mark.consumer in account.consumers else NEVER,
                int(mark.connects),
            )
            for mark in sorted(scene.marks, key=lambda mark: mark.at_ns)
            if mark.at_ns <= (until_ns or mark.at_ns)
        ],
        "special": scene.special_words,
        **columns,
    }
    return Replay(sentence, _still(graph, boxes, account), data)


def _graph(scene: Scene, account: Account, queues: list[str]) -> Graph:
    """Draw the way of the messages: publisher, exchange, queues, consumers."""
    graph = Graph()
    exchange: Key = ("exchange", scene.exchange)
    graph.nodes[PUBLISHERS] = Node(PUBLISHERS, (" " * 18, ""))
    graph.nodes[exchange] = Node(exchange, ("",))
    graph.link(PUBLISHERS, exchange, "", "publish")
    for queue in queues:
        graph.nodes["queue", queue] = Node(("queue", queue), (ROOM, "", ""))
        graph.link(exchange, ("queue", queue), "", "binding")
    for name in account.consumers:
        graph.nodes["consumer", name] = Node(("consumer", name), (ROOM,))
        graph.link(("queue", scene.queues[name]), ("consumer", name), "", "binding")
    return graph


def _still(graph: Graph, boxes: dict[Key, Box], account: Account) -> str:
    """Draw the places, and how many messages each had in the end."""
    texts = written(boxes[PUBLISHERS], f"{account.totals().published} published")
    consumers = account.deliveries["consumer"][account.deliveries["outcome"] >= REJECTED]
    counts = np.bincount(consumers, minlength=len(account.consumers))
    for name, done in zip(account.consumers, counts, strict=True):
        texts += written(boxes["consumer", name], f"{done} done")
    return svg(graph).removesuffix("</svg>") + texts + "</svg>"


def written(box: Box, words: str, row: int = 1, color: str = INK) -> str:
    """Return SVG of what is written into a row of a box; row 0 is its name."""
    return (
        f'<text x="{box.x + box.width / 2:.1f}" y="{_baseline(box, row):.1f}" '
        f'font-size="{SMALL_SIZE}" fill="{color}" text-anchor="middle">{words}</text>'
    )


def _baseline(box: Box, row: int) -> float:
    return box.middle + (row - len(box.node.lines) / 2) * LINE_HEIGHT + NAME_SIZE * 0.35


def _sentence(scene: Scene, account: Account, started_ns: int, every: int, until_ns: int) -> str:
    totals, messages = account.totals(), account.messages
    last_ns = max(int(messages[f"{name}_ns"].max()) for name in ("published", "confirmed", "settled"))
    more = {
        "of them again": totals.redelivered,
        "acknowledged": totals.acked,
        "rejected": totals.rejected,
        "put back": totals.requeued,
        "returned": totals.returned,
        "never settled": int(((messages["deliveries"] > 0) & (messages["outcome"] == 0)).sum()),
    }
    marks = sorted(scene.marks, key=lambda mark: mark.at_ns)
    parts = [f"{totals.received} delivered"] + [f"{count} {words}" for words, count in more.items() if count]
    sentences = [
        f"Replay of {totals.published} messages, as recorded in {(last_ns - started_ns) / 1e9:.1f} s: "
        f"{', '.join(parts)}."
    ]
    sentences += [f"At {(mark.at_ns - started_ns) / 1e9:.2f} s {mark.words}." for mark in marks]
    if every > 1:
        sentences.append(f"Shown is one message of {every}.")
    if until_ns:
        sentences.append(f"Shown are the first {(until_ns - started_ns) / 1e9:.2f} s.")
    return " ".join(sentences)


def _corners(box: Box) -> list[float]:
    return [round(each, 1) for each in (box.x, box.y, box.width, box.height, _baseline(box, 1))]
