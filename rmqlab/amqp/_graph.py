"""Boxes and arrows: what there is on a broker, and where publishers send."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

Key = tuple[str, str]  # kind and name
EdgeKind = Literal["publish", "binding", "dead letter"]

PUBLISHERS: Key = ("publishers", "publishers")
DEFAULT_EXCHANGE: Key = ("exchange", "")


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
