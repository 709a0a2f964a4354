"""A topology as boxes and arrows: what it names, what it refers to, and where publishers send."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from rmqlab.amqp._definitions import Exchange, Queue

if TYPE_CHECKING:
    from rmqlab.amqp._topology import Topology

Key = tuple[str, str]  # kind and name
EdgeKind = Literal["publish", "binding", "dead letter", "alternate"]

PUBLISHERS: Key = ("publishers", "publishers")
DEFAULT_EXCHANGE: Key = ("exchange", "")

SHOWN_ELSEWHERE = {
    *("name", "type", "arguments"),
    *("dead_letter_exchange", "dead_letter_routing_key", "alternate_exchange"),
}


@dataclass(frozen=True, slots=True)
class Node:
    """A box: what it stands for, and the lines below its name; none where the topology only refers to it."""

    key: Key
    lines: tuple[str, ...] = ()


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
            self.nodes.setdefault(key, Node(key))
        edge = Edge(source, target, label, kind)
        if edge not in self.edges:
            self.edges.append(edge)

    def add_publishers(self) -> None:
        """Let publishers send to what nothing else sends to; to a queue by way of the default exchange."""
        entered = {edge.target for edge in self.edges}
        sent_to: list[Key] = []
        reached: set[Key] = set()
        for key in sorted(self.nodes, key=lambda key: (key in entered, key[0] != "exchange")):
            if key in reached:
                continue
            self._reach(key, reached)
            if key[0] == "queue":
                self.link(DEFAULT_EXCHANGE, key, key[1], "binding")
            sent_to.append(DEFAULT_EXCHANGE if key[0] == "queue" else key)
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
        graph.nodes[key] = Node(key, _lines(what))
    for binding in topology.bindings:
        source, target = ("exchange", binding.exchange), ("queue", binding.queue)
        graph.link(source, target, binding.routing_key, "binding")
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
    graph.add_publishers()
    return graph


def _lines(what: Exchange | Queue) -> tuple[str, ...]:
    """Describe in short lines what sort of exchange or queue it is."""
    lines: list[str] = [what.type]
    for each in dataclasses.fields(what):
        value = getattr(what, each.name)
        if each.name not in SHOWN_ELSEWHERE and value != each.default:
            lines.append(f"{each.name} {value}")
    return *lines, *(f"{name} {value}" for name, value in what.arguments.items())
