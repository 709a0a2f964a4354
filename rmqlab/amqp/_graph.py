"""A topology as boxes and arrows: what it names, what it refers to, and where publishers send."""

from __future__ import annotations

import dataclasses
from collections.abc import Set
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from rmqlab.amqp._definitions import Exchange, Queue

if TYPE_CHECKING:
    from rmqlab.amqp._topology import Topology

Key = tuple[str, str]  # kind and name
EdgeKind = Literal["publish", "binding", "dead letter", "alternate"]

PUBLISHERS: Key = ("publishers", "publishers")
DEFAULT_EXCHANGE: Key = ("exchange", "")

# A setting that is shown by a word of its own when it is not the default.
WORDS = {
    "durable": "transient",
    "exclusive": "exclusive",
    "auto_delete": "auto-delete",
    "internal": "internal",
    "single_active_consumer": "single active consumer",
}
SHOWN_ELSEWHERE = {
    *("name", "type", "arguments"),
    *("dead_letter_exchange", "dead_letter_routing_key", "alternate_exchange"),
}


@dataclass(frozen=True, slots=True)
class Node:
    """A box: what it stands for, and the lines below its name; `known` if the topology has it."""

    key: Key
    lines: tuple[str, ...]
    known: bool


@dataclass(frozen=True, slots=True)
class Edge:
    """An arrow from one box to another."""

    source: Key
    target: Key
    label: str
    kind: EdgeKind


@dataclass(slots=True)
class Graph:
    """The boxes and arrows of a drawing, in the order in which they were added."""

    nodes: dict[Key, Node] = field(default_factory=dict)
    edges: list[Edge] = field(default_factory=list)

    def link(self, source: Key, target: Key, label: str, kind: EdgeKind) -> None:
        """Add an arrow, once, and boxes for ends that the topology only refers to."""
        for key in (source, target):
            self.nodes.setdefault(key, Node(key, (), known=False))
        edge = Edge(source, target, label, kind)
        if edge not in self.edges:
            self.edges.append(edge)

    def add_publishers(self, closed: Set[Key]) -> None:
        """Let publishers send to what nothing else sends to, and into each circle.

        To a queue they send by way of the default exchange. To `closed` exchanges they cannot.
        """
        entered = {edge.target for edge in self.edges}
        sent_to: list[Key] = []
        reached: set[Key] = set()
        for key in sorted(self.nodes, key=lambda key: (key in entered, key[0] != "exchange")):
            if key not in reached and key not in closed:
                if key[0] == "queue":
                    self.link(DEFAULT_EXCHANGE, key, key[1], "binding")
                sent_to.append(DEFAULT_EXCHANGE if key[0] == "queue" else key)
            self._reach(key, reached)
        for key in sent_to:
            self.link(PUBLISHERS, key, "", "publish")

    def _reach(self, key: Key, reached: set[Key]) -> None:
        """Add a node, and all that one can get to from there."""
        if key not in reached:
            reached.add(key)
            for edge in self.edges:
                if edge.source == key:
                    self._reach(edge.target, reached)


def graph_of(topology: Topology) -> Graph:
    """Turn what a topology names, or only refers to, into nodes and edges."""
    graph = Graph()
    described: tuple[Exchange | Queue, ...] = (*topology.exchanges, *topology.queues)
    for what in described:
        key = (type(what).__name__.lower(), what.name)
        graph.nodes[key] = Node(key, _lines(what), known=True)
    for binding in topology.bindings:
        destination = ("exchange" if binding.queue is None else "queue", binding.destination)
        headers = (f"{name}={value}" for name, value in sorted(binding.arguments.items()))
        label = ", ".join(filter(None, [binding.routing_key, *headers]))
        graph.link(("exchange", binding.exchange), destination, label, "binding")
    for queue in topology.queues:
        if queue.dead_letter_exchange is not None:
            routing_key, label = queue.dead_letter_routing_key or "", "dead letter"
            target = ("exchange", queue.dead_letter_exchange)
            if target == DEFAULT_EXCHANGE and ("queue", routing_key) in graph.nodes:
                target = ("queue", routing_key)  # the default exchange hands them straight to it
            elif routing_key:
                label += f", {routing_key}"
            graph.link(("queue", queue.name), target, label, "dead letter")
    for exchange in topology.exchanges:
        if exchange.alternate_exchange is not None:
            alternate = ("exchange", exchange.alternate_exchange)
            graph.link(("exchange", exchange.name), alternate, "unroutable", "alternate")
    graph.add_publishers({("exchange", each.name) for each in topology.exchanges if each.internal})
    return graph


def _lines(what: Exchange | Queue) -> tuple[str, ...]:
    """Describe in short lines what sort of exchange or queue it is."""
    changed = [
        (each.name, getattr(what, each.name))
        for each in dataclasses.fields(what)
        if each.name not in SHOWN_ELSEWHERE and getattr(what, each.name) != each.default
    ]
    kind = [what.type, *(WORDS[name] for name, _ in changed if name in WORDS)]
    lines = [f"{name} {value}" for name, value in changed if name not in WORDS]
    lines += [f"{key} {value}" for key, value in sorted(what.arguments.items())]
    return (", ".join(kind), *lines)
