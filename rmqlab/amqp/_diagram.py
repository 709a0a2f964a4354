"""Draw a topology: as text, and as an SVG picture."""

from __future__ import annotations

import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from xml.sax.saxutils import escape

from rmqlab.amqp._graph import PUBLISHERS, Edge, EdgeKind, Graph, Key, Node

SPECIAL_NAMES = {("exchange", ""): "default exchange", ("queue", ""): "named by the broker"}

# Okabe and Ito's colors, as in rmqlab.figures, which a package below it cannot import; the fills
# are tints of the same.
INK, GREY = "#222222", "#737373"
BORDERS = {"publishers": "#009E73", "exchange": "#E69F00", "queue": "#0072B2"}
FILLS = {"publishers": "#E0F3EE", "exchange": "#FCF3E0", "queue": "#E0EEF6"}
LINES: dict[EdgeKind, tuple[str, str, str]] = {  # color, dashes, color of the small label
    "publish": (GREY, "", GREY),
    "binding": (INK, "", INK),
    "dead letter": ("#D55E00", "7 4", "#A84A00"),
    "alternate": ("#CC79A7", "2 3", "#8F4373"),
}

MAX_NAME, MAX_LABEL, MAX_LINE = 34, 30, 34  # characters in the picture
NAME_SIZE, SMALL_SIZE = 13, 11  # font sizes, px
ADVANCE = 0.61  # width of a character of a monospaced font, in font sizes
LINE_HEIGHT, PADDING = 16, 10
PORT = 22  # between two arrows that enter a node
GAP, CURVE, MARGIN = 20, 48, 16  # between nodes, for the curves between columns, around all
ARROW, LANE, DUMMY = 9, 12, 16
SWEEPS, WORTH = 6, 0.75


def text(graph: Graph) -> str:
    """Draw as lines of text: each exchange and queue, and under it where messages go from there."""
    out: list[str] = []
    for key, node in graph.nodes.items():
        if key == PUBLISHERS:
            continue
        out.append(_titled(node.key) + (f" ({', '.join(map(_clean, node.lines))})" if node.lines else ""))
        for edge in graph.edges:
            if edge.source == key:
                dash, head = ("--", "-->") if edge.kind == "binding" else ("..", "..>")
                label = f"{dash} {_clean(edge.label)} " if edge.label else ""
                out.append(f"    {label}{head} {_titled(edge.target)}")
    return "\n".join(out) or "(an empty topology)"


def svg(graph: Graph) -> str:
    """Draw as a picture, in columns from the publishers on the left to the queues on the right."""
    return _Layout(graph).picture()


@dataclass(slots=True)
class _Place:
    """A box, or a long arrow's way through a column, with its place: top left corner, px."""

    node: Node | None
    layer: int
    height: float = DUMMY
    x: float = 0
    y: float = 0
    arrivals: list[_Chain] = field(default_factory=list)

    @property
    def middle(self) -> float:
        return self.y + self.height / 2


@dataclass(slots=True)
class _Chain:
    """An arrow with the places it goes through, in order; `back` if it goes against the flow."""

    edge: Edge
    places: list[_Place]
    back: bool

    def port(self) -> float:
        """Return the height at which it arrives: the arrows into a box are spread over its side."""
        target = self.places[-1]
        rank = next(at for at, each in enumerate(target.arrivals) if each is self)
        return target.middle + (rank - (len(target.arrivals) - 1) / 2) * PORT


class _Layout:
    """Where everything goes: columns by the longest way, rows by the neighbours' middle."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        back = _against_the_flow(graph)
        layers = _layers(graph, back)
        self.places = {key: _Place(node, layers[key]) for key, node in graph.nodes.items()}
        self.columns: list[list[_Place]] = [[] for _ in range(max(layers.values(), default=-1) + 1)]
        for place in self.places.values():
            self.columns[place.layer].append(place)
        self.chains = [self._chain(edge, number in back) for number, edge in enumerate(graph.edges)]
        self.widths = [self._width(column) for column in self.columns]
        self._order()
        self._measure()

    def _chain(self, edge: Edge, back: bool) -> _Chain:
        source, target = self.places[edge.source], self.places[edge.target]
        between = [] if back else [_Place(None, at) for at in range(source.layer + 1, target.layer)]
        for place in between:
            self.columns[place.layer].append(place)
        chain = _Chain(edge, [source, *between, target], back)
        target.arrivals.append(chain)
        return chain

    @staticmethod
    def _width(column: Iterable[_Place]) -> float:
        widths = [0.0]
        for place in column:
            if place.node:
                widths.append(_text_width(_short(_name(place.node.key), MAX_NAME), NAME_SIZE))
                widths += [_text_width(_short(line, MAX_LINE), SMALL_SIZE) for line in place.node.lines]
        return max(widths) + 2 * PADDING

    def _order(self) -> None:
        """Put each place at the mean of its neighbours, where that makes far fewer arrows cross.

        A little is not worth it: a reader expects the order in which the topology was written.
        """
        links = [
            pair
            for chain in self.chains
            if not chain.back
            for pair in zip(chain.places, chain.places[1:])  # noqa: B905
        ]
        before, after = defaultdict(list), defaultdict(list)
        for left, right in links:
            before[id(right)].append(left)
            after[id(left)].append(right)
        best, fewest = [list(column) for column in self.columns], self._crossings(links) * WORTH
        for sweep in range(SWEEPS):
            neighbours = after if sweep % 2 else before
            for column in reversed(self.columns) if sweep % 2 else self.columns:
                rows = {id(each): row for other in self.columns for row, each in enumerate(other)}

                def mean(
                    place: _Place, rows: dict[int, int] = rows, near: dict[int, list[_Place]] = neighbours
                ) -> float:
                    found = [rows[id(each)] for each in near[id(place)]]
                    return sum(found) / len(found) if found else rows[id(place)]

                column.sort(key=mean)
            if (crossings := self._crossings(links)) < fewest:
                best, fewest = [list(column) for column in self.columns], crossings
        self.columns = best

    def _crossings(self, links: Sequence[tuple[_Place, _Place]]) -> int:
        rows = {id(each): row for column in self.columns for row, each in enumerate(column)}
        spans: dict[int, list[tuple[int, int]]] = defaultdict(list)
        for left, right in links:
            spans[left.layer].append((rows[id(left)], rows[id(right)]))
        return sum(
            (a[0] - b[0]) * (a[1] - b[1]) < 0
            for each in spans.values()
            for at, a in enumerate(each)
            for b in each[:at]
        )

    def _measure(self) -> None:
        """Set the coordinates of every place."""
        for place in self.places.values():
            assert place.node
            lines = len(place.node.lines)
            place.height = max(2 * PADDING + LINE_HEIGHT * (1 + lines), len(place.arrivals) * PORT + 4)
        heights = [sum(each.height + GAP for each in column) - GAP for column in self.columns]
        self.height = max(heights, default=0.0)
        # Room for the labels, right before the column that their arrows enter.
        self.stubs = [
            max((self._label_width(c) for p in column for c in p.arrivals), default=0.0) + ARROW + 8
            for column in self.columns
        ]
        x = float(MARGIN)
        for at, column in enumerate(self.columns):
            if at:
                x += self.widths[at - 1] + CURVE + self.stubs[at]
            y = MARGIN + (self.height - heights[at]) / 2
            for place in column:
                place.x, place.y = x, y
                y += place.height + GAP
        for place in self.places.values():
            place.arrivals.sort(key=lambda chain: (chain.back, chain.places[-2].middle))

    @staticmethod
    def _label_width(chain: _Chain) -> float:
        return _text_width(_short(chain.edge.label, MAX_LABEL), SMALL_SIZE) + 8 if chain.edge.label else 0.0

    def picture(self) -> str:
        lanes = [chain for chain in self.chains if chain.back]
        # A lane on the way back to the first column needs room on the left, and so on.
        right = max((p.x + self.widths[p.layer] for p in self.places.values()), default=0.0)
        left = 0.0
        if any(chain.places[-1].layer == 0 for chain in lanes):
            left = self.stubs[0] + LANE * (len(lanes) + 1)
        if lanes:
            right += LANE * (len(lanes) + 1)
        width = left + right + MARGIN
        height = self.height + 2 * MARGIN + LANE * len(lanes)
        parts = [self._arrow(chain, lanes) for chain in self.chains]
        parts += [self._box(place) for place in self.places.values()]
        counts = self._summary()
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{_px(width)}" height="{_px(height)}" '
            f'viewBox="{_px(-left)} 0 {_px(width)} {_px(height)}" role="img" aria-label="{counts}" '
            f"font-family=\"'DejaVu Sans Mono', Menlo, Consolas, monospace\">"
            f"<title>{counts}</title>"
            f'<rect x="{_px(-left)}" width="{_px(width)}" height="{_px(height)}" fill="#FFFFFF"/>'
            + "".join(parts)
            + "</svg>"
        )

    def _summary(self) -> str:
        kinds = [key[0] for key, node in self.graph.nodes.items() if node.known]
        bindings = sum(edge.kind == "binding" for edge in self.graph.edges)
        counts = {"exchange": kinds.count("exchange"), "queue": kinds.count("queue"), "binding": bindings}
        words = [f"{n} {what}" if n == 1 else f"{n} {what}s" for what, n in counts.items()]
        return "Topology of " + ", ".join(words)

    def _arrow(self, chain: _Chain, lanes: list[_Chain]) -> str:
        color, dashes, label_color = LINES[chain.edge.kind]
        source, target = chain.places[0], chain.places[-1]
        port, start = chain.port(), target.x - self.stubs[target.layer]
        x, y = source.x + self.widths[source.layer], source.middle
        path = f"M{_px(x)} {_px(y)}"
        if chain.back:
            lane = next(at for at, each in enumerate(lanes) if each is chain)
            out, into = x + LANE * (lane + 1), start - LANE * (lane + 1)
            bottom = MARGIN + self.height + LANE * (lane + 1)
            path += f"H{_px(out)}V{_px(bottom)}H{_px(into)}V{_px(port)}"
        else:
            for place in chain.places[1:]:
                last = place is target
                to_x, to_y = place.x - self.stubs[place.layer], port if last else place.middle
                bend = (x + to_x) / 2
                path += f"C{_px(bend)} {_px(y)} {_px(bend)} {_px(to_y)} {_px(to_x)} {_px(to_y)}"
                if not last:
                    x, y = place.x + self.widths[place.layer], place.middle
                    path += f"H{_px(x)}"
        tip = target.x - 1
        path += f"H{_px(tip - ARROW + 1)}"
        line = f'stroke="{color}" stroke-width="1.5"' + (f' stroke-dasharray="{dashes}"' if dashes else "")
        head = f"M{_px(tip)} {_px(port)}l{-ARROW} -4v8z"
        drawn = (
            f'<path d="{path}" fill="none" stroke-linejoin="round" {line}/><path d="{head}" fill="{color}"/>'
        )
        if chain.edge.label:
            label = _short(chain.edge.label, MAX_LABEL)
            drawn += _text(label, start + 3, port - 4, size=SMALL_SIZE, color=label_color)
        return drawn

    def _box(self, place: _Place) -> str:
        assert place.node
        kind, width = place.node.key[0], self.widths[place.layer]
        round_by = {"publishers": place.height / 2, "exchange": 10}.get(kind, 0)
        dash = "" if place.node.known or kind == "publishers" else ' stroke-dasharray="4 3"'
        box = (
            f'<rect x="{_px(place.x)}" y="{_px(place.y)}" width="{_px(width)}" height="{_px(place.height)}" '
            f'rx="{_px(round_by)}" fill="{FILLS[kind]}" stroke="{BORDERS[kind]}" stroke-width="1.5"{dash}/>'
        )
        lines = [(_short(_name(place.node.key), MAX_NAME), NAME_SIZE, INK)]
        lines += [(_short(line, MAX_LINE), SMALL_SIZE, "#444444") for line in place.node.lines]
        y = place.middle - LINE_HEIGHT * (len(lines) - 1) / 2 + NAME_SIZE * 0.35
        x = place.x + width / 2
        for line, size, color in lines:
            box += _text(line, x, y, size=size, color=color, anchor="middle")
            y += LINE_HEIGHT
        return box


def _against_the_flow(graph: Graph) -> set[int]:
    """Find the edges, by number, without which there is no circle: those that close one."""
    ways: dict[Key, list[tuple[int, Key]]] = {key: [] for key in graph.nodes}
    for number, edge in enumerate(graph.edges):
        ways[edge.source].append((number, edge.target))
    back: set[int] = set()
    state: dict[Key, str] = {}
    for start in sorted(graph.nodes, key=lambda key: key != PUBLISHERS):
        if start in state:
            continue
        state[start] = "open"
        stack = [(start, iter(ways[start]))]
        while stack:
            key, rest = stack[-1]
            number, target = next(rest, (-1, key))
            if number < 0:
                state[key] = "done"
                stack.pop()
            elif state.get(target) == "open":
                back.add(number)
            elif target not in state:
                state[target] = "open"
                stack.append((target, iter(ways[target])))
    return back


def _layers(graph: Graph, back: set[int]) -> dict[Key, int]:
    """Return the column of each node: one to the right of whatever leads to it."""
    layers = dict.fromkeys(graph.nodes, 0)
    forward = [edge for number, edge in enumerate(graph.edges) if number not in back]
    for _ in graph.nodes:  # the longest way has no more steps than there are nodes
        moved = False
        for edge in forward:
            if layers[edge.target] <= layers[edge.source]:
                layers[edge.target] = layers[edge.source] + 1
                moved = True
        if not moved:
            break
    return layers


def _name(key: Key) -> str:
    return SPECIAL_NAMES.get(key, key[1])


def _titled(key: Key) -> str:
    return _name(key) if key == ("exchange", "") else f"{key[0]} {_clean(_name(key))}"


def _clean(value: str) -> str:
    """Put a mark in place of what has no sign, or would change how its neighbours are shown."""
    return "".join(each if each.isprintable() else "\N{REPLACEMENT CHARACTER}" for each in value)


def _short(value: str, most: int) -> str:
    """Leave out the middle of a long text: names that begin alike stay apart."""
    value = _clean(value)
    if len(value) <= most:
        return value
    half = (most - 1) // 2
    return f"{value[:half]}…{value[-half:]}"


def _text_width(value: str, size: int) -> float:
    """Estimate a text's width in px; the signs of East Asia take two places."""
    places = 0
    for each in value:
        if not unicodedata.combining(each):
            places += 2 if unicodedata.east_asian_width(each) in "WF" else 1
    return places * size * ADVANCE


def _text(value: str, x: float, y: float, *, size: int, color: str, anchor: str = "start") -> str:
    return (
        f'<text x="{_px(x)}" y="{_px(y)}" font-size="{size}" fill="{color}" text-anchor="{anchor}" '
        f'xml:space="preserve">{escape(value)}</text>'
    )


def _px(value: float) -> str:
    return f"{round(value, 1):g}"
