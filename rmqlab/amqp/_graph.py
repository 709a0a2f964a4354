"""A topology as boxes and arrows: what it names, what it refers to, and where publishers come in."""

from __future__ import annotations

from collections.abc import Mapping, Set
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from rmqlab.amqp._definitions import Exchange, Queue, given

if TYPE_CHECKING:
    from rmqlab.amqp._topology import Topology

Key = tuple[str, str]  # kind and name
EdgeKind = Literal["publish", "binding", "dead letter", "alternate"]

PUBLISHERS: Key = ("publishers", "publishers")


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

    def add(self, kind: str, name: str, lines: tuple[str, ...]) -> None:
        """Add a box for something that the topology has."""
        self.nodes[kind, name] = Node((kind, name), lines, known=True)

    def link(self, source: Key, target: Key, label: str, kind: EdgeKind) -> None:
        """Add an arrow, once, and boxes for ends that the topology only refers to."""
        for key in (source, target):
            self.nodes.setdefault(key, Node(key, (), known=False))
        edge = Edge(source, target, label, kind)
        if edge not in self.edges:
            self.edges.append(edge)

    def add_publishers(self, closed: Set[Key]) -> None:
        """Let publishers send to whatever nothing else sends to, or only what it sends to itself.

        To a queue they send by way of the default exchange. To `closed` exchanges they cannot.
        """
        sources = {key: {edge.source for edge in self.edges if edge.target == key} for key in self.nodes}
        targets = {key: {edge.target for edge in self.edges if edge.source == key} for key in self.nodes}
        entered: set[Key] = set()
        for key in sorted(self.nodes, key=lambda key: key[0] != "exchange"):
            circle = _reached(key, sources)
            if key in closed or circle & entered or not circle <= _reached(key, targets):
                continue
            entered.add(key)
            if key[0] == "queue":
                self.link(("exchange", ""), key, key[1], "binding")
        if ("exchange", "") in self.nodes:
            entered.add(("exchange", ""))
        for key in list(self.nodes):
            if key in entered and key[0] == "exchange":
                self.link(PUBLISHERS, key, "", "publish")


def graph_of(topology: Topology) -> Graph:
    """Turn what is named here, or only referred to, into nodes and edges."""
    graph = Graph()
    for exchange in topology.exchanges:
        graph.add("exchange", exchange.name, _settings(exchange))
    for queue in topology.queues:
        graph.add("queue", queue.name, _settings(queue))
    for binding in topology.bindings:
        destination = ("exchange" if binding.queue is None else "queue", binding.destination)
        label = ", ".join(filter(None, [binding.routing_key, _headers(binding.arguments)]))
        graph.link(("exchange", binding.exchange), destination, label, "binding")
    for queue in topology.queues:
        if queue.dead_letter_exchange is not None:
            target = _dead_letter_target(queue, {each.name for each in topology.queues})
            key = queue.dead_letter_routing_key if target[0] == "exchange" else None
            label = "dead letter" + (f", {key}" if key else "")
            graph.link(("queue", queue.name), target, label, "dead letter")
    for exchange in topology.exchanges:
        if exchange.alternate_exchange is not None:
            target = ("exchange", exchange.alternate_exchange)
            graph.link(("exchange", exchange.name), target, "unroutable", "alternate")
    internal = {each.name for each in topology.exchanges if each.internal}
    graph.add_publishers({("exchange", name) for name in internal})
    return graph


def _settings(what: Exchange | Queue) -> tuple[str, ...]:
    """Describe in short lines what sort of exchange or queue it is, for the drawing."""
    words = {
        "durable": "transient",  # shown when it is not the default
        "exclusive": "exclusive",
        "auto_delete": "auto-delete",
        "internal": "internal",
        "single_active_consumer": "single active consumer",
    }
    drawn = {"name", "type", "dead_letter_exchange", "dead_letter_routing_key", "alternate_exchange"}
    kind: list[str] = [what.type]
    lines: list[str] = []
    for name, value in given(what):
        if name == "arguments":
            lines += [f"{key} {each}" for key, each in sorted(what.arguments.items())]
        elif name in words:
            kind.append(words[name])
        elif name not in drawn:
            lines.append(f"{name} {value}")
    return (", ".join(kind), *lines)


def _headers(arguments: Mapping[str, object]) -> str:
    return ", ".join(f"{key}={value}" for key, value in sorted(arguments.items()))


def _dead_letter_target(queue: Queue, queues: set[str]) -> tuple[str, str]:
    """Find where dead letters go: the default exchange hands them straight to a queue."""
    key = queue.dead_letter_routing_key
    if queue.dead_letter_exchange == "" and key in queues:
        return "queue", key or ""
    return "exchange", queue.dead_letter_exchange or ""


def _reached(start: Key, ways: Mapping[Key, Set[Key]]) -> set[Key]:
    """Find all nodes that one can get to, the first one included."""
    found, left = {start}, [start]
    while left:
        new = ways[left.pop()] - found
        found |= new
        left += new
    return found
