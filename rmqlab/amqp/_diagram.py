"""Draw a topology: as text, and as an SVG picture."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass, field
from graphlib import TopologicalSorter
from xml.sax.saxutils import escape

from rmqlab.amqp._graph import DEFAULT_EXCHANGE, PUBLISHERS, Edge, EdgeKind, Graph, Key, Node

SPECIAL_NAMES = {DEFAULT_EXCHANGE: "default exchange", ("queue", ""): "named by the broker"}

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
PORT = 22  # between two arrows that enter a box
GAP, CURVE, MARGIN = 20, 48, 16  # between boxes, for the curves between columns, around all
ARROW, LANE = 9, 12


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


@dataclass(slots=True)
class Box:
    """A node with its place: its column, its top left corner and its size, in px."""

    node: Node
    column: int
    x: float = 0
    y: float = 0
    width: float = 0
    height: float = 0
    label_width: float = 0  # on its left, for the labels of the arrows that enter it
    entering: list[Edge] = field(default_factory=list)  # from top to bottom

    @property
    def middle(self) -> float:
        return self.y + self.height / 2

    def entry(self, edge: Edge) -> float:
        """Return the height at which an arrow enters, in px: they are spread over the left side."""
        return self.middle + (self.entering.index(edge) - (len(self.entering) - 1) / 2) * PORT

    def texts(self) -> Iterator[tuple[str, int, str]]:
        """Return each line in it, with its font size and color."""
        yield _short(_name(self.node.key), MAX_NAME), NAME_SIZE, INK
        for line in self.node.lines:
            yield _short(line, MAX_LINE), SMALL_SIZE, "#444444"


class Layout:
    """Where everything goes: from the publishers on the left to the queues on the right.

    An arrow leads to the next column. One that leads elsewhere goes below all boxes, in a lane
    that it shares with the others to the same box: `lanes` has how deep it is, from 1.
    """

    def __init__(self, graph: Graph) -> None:
        columns = _columns(graph)
        self.boxes = {key: Box(node, columns[key]) for key, node in graph.nodes.items()}
        far = dict.fromkeys(edge.target for edge in graph.edges if not self.is_near(edge))
        self.lanes = {key: depth for depth, key in enumerate(far, 1)}
        for edge in graph.edges:
            self.boxes[edge.target].entering.append(edge)
        self._place()

    def is_near(self, edge: Edge) -> bool:
        """Return True if an arrow leads to the next column."""
        return self.boxes[edge.target].column == self.boxes[edge.source].column + 1

    def _place(self) -> None:
        count = 1 + max((box.column for box in self.boxes.values()), default=-1)
        columns: list[list[Box]] = [[] for _ in range(count)]
        for box in self.boxes.values():
            columns[box.column].append(box)
            texts = 2 * PADDING + LINE_HEIGHT * (1 + len(box.node.lines))
            box.height = max(texts, len(box.entering) * PORT + 4)
        heights = [sum(box.height + GAP for box in column) - GAP for column in columns]
        self.bottom = MARGIN + max(heights, default=0.0)
        x = float(MARGIN)
        for column, height in zip(columns, heights, strict=True):
            labels = (_label_width(edge) for box in column for edge in box.entering)
            label_width = max(labels, default=0.0) + ARROW + 8
            if column[0].column:
                x += CURVE + label_width
            width = 2 * PADDING + max(_width(line, size) for box in column for line, size, _ in box.texts())
            y = (MARGIN + self.bottom - height) / 2
            # As the topology has them, but beside their sources, so that fewer arrows cross.
            for box in sorted(column, key=self._height_of_sources):
                box.x, box.y, box.width, box.label_width = x, y, width, label_width
                y += box.height + GAP
            x += width
        for box in self.boxes.values():
            box.entering.sort(key=lambda edge: (not self.is_near(edge), self.boxes[edge.source].middle))

    def _height_of_sources(self, box: Box) -> float:
        near = [self.boxes[edge.source].middle for edge in box.entering if self.is_near(edge)]
        return sum(near) / len(near) if near else 0.0


def svg(graph: Graph) -> str:
    """Draw as a picture, in columns from the publishers on the left to the queues on the right."""
    layout = Layout(graph)
    boxes = layout.boxes.values()
    lanes = LANE * (len(layout.lanes) + 1) if layout.lanes else 0
    left = max((box.label_width for box in boxes if box.column == 0 and box.entering), default=0.0)
    left += lanes
    width = left + max((box.x + box.width for box in boxes), default=0.0) + lanes + MARGIN
    height = layout.bottom + MARGIN + LANE * len(layout.lanes)
    title = _title(graph)
    frame = f'width="{_px(width)}" height="{_px(height)}"'
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" {frame} '
        f'viewBox="{_px(-left)} 0 {_px(width)} {_px(height)}" role="img" aria-label="{title}" '
        f"font-family=\"'DejaVu Sans Mono', Menlo, Consolas, monospace\">"
        f"<title>{title}</title>"
        f'<rect x="{_px(-left)}" {frame} fill="#FFFFFF"/>'
        + "".join(_arrow(layout, edge) for edge in graph.edges)
        + "".join(_box(box) for box in boxes)
        + "</svg>"
    )


def _title(graph: Graph) -> str:
    kinds = [node.key[0] for node in graph.nodes.values() if node.known]
    kinds += [edge.kind for edge in graph.edges]
    counts = ((kinds.count(kind), kind) for kind in ("exchange", "queue", "binding"))
    return "Topology of " + ", ".join(f"{n} {kind}" if n == 1 else f"{n} {kind}s" for n, kind in counts)


def _arrow(layout: Layout, edge: Edge) -> str:
    color, dashes, label_color = LINES[edge.kind]
    source, target = layout.boxes[edge.source], layout.boxes[edge.target]
    x, y = source.x + source.width, source.middle
    start, port, tip = target.x - target.label_width, target.entry(edge), target.x - 1
    if layout.is_near(edge):
        bend = (x + start) / 2
        way = f"C{_px(bend)} {_px(y)} {_px(bend)} {_px(port)} {_px(start)} {_px(port)}"
    else:
        lane = LANE * layout.lanes[edge.target]
        way = f"H{_px(x + lane)}V{_px(layout.bottom + lane)}H{_px(start - lane)}V{_px(port)}"
    line = f'stroke="{color}" stroke-width="1.5"' + (f' stroke-dasharray="{dashes}"' if dashes else "")
    drawn = (
        f'<path d="M{_px(x)} {_px(y)}{way}H{_px(tip - ARROW + 1)}" '
        f'fill="none" stroke-linejoin="round" {line}/>'
        f'<path d="M{_px(tip)} {_px(port)}l{-ARROW} -4v8z" fill="{color}"/>'
    )
    if edge.label:
        label = _short(edge.label, MAX_LABEL)
        drawn += _text(label, start + 3, port - 4, size=SMALL_SIZE, color=label_color)
    return drawn


def _box(box: Box) -> str:
    kind = box.node.key[0]
    corner = {"publishers": box.height / 2, "exchange": 10}.get(kind, 0)
    dash = "" if box.node.known or kind == "publishers" else ' stroke-dasharray="4 3"'
    drawn = (
        f'<rect x="{_px(box.x)}" y="{_px(box.y)}" width="{_px(box.width)}" height="{_px(box.height)}" '
        f'rx="{_px(corner)}" fill="{FILLS[kind]}" stroke="{BORDERS[kind]}" stroke-width="1.5"{dash}/>'
    )
    x, y = box.x + box.width / 2, box.middle - LINE_HEIGHT * len(box.node.lines) / 2 + NAME_SIZE * 0.35
    for row, (line, size, color) in enumerate(box.texts()):
        drawn += _text(line, x, y + row * LINE_HEIGHT, size=size, color=color, anchor="middle")
    return drawn


def _columns(graph: Graph) -> dict[Key, int]:
    """Return the column of each node: right of whatever leads to it, circles apart."""
    before: dict[Key, set[Key]] = {}

    def visit(key: Key, path: tuple[Key, ...]) -> None:
        before.setdefault(key, set())
        for edge in graph.edges:
            if edge.source == key and edge.target not in (*path, key):  # which would close a circle
                if edge.target not in before:
                    visit(edge.target, (*path, key))
                before[edge.target].add(key)

    for key in sorted(graph.nodes, key=lambda key: key != PUBLISHERS):
        if key not in before:
            visit(key, ())
    columns: dict[Key, int] = {}
    for key in TopologicalSorter(before).static_order():
        columns[key] = max((columns[each] + 1 for each in before[key]), default=0)
    return columns


def _name(key: Key) -> str:
    return SPECIAL_NAMES.get(key, key[1])


def _titled(key: Key) -> str:
    return _name(key) if key == DEFAULT_EXCHANGE else f"{key[0]} {_clean(_name(key))}"


def _clean(value: str) -> str:
    """Put a mark in place of what has no sign, or would change how its neighbors are shown."""
    return "".join(each if each.isprintable() else "\N{REPLACEMENT CHARACTER}" for each in value)


def _short(value: str, most: int) -> str:
    """Leave out the middle of a long text: names that begin alike stay apart."""
    value = _clean(value)
    half = (most - 1) // 2
    return value if len(value) <= most else f"{value[:half]}…{value[-half:]}"


def _width(value: str, size: int) -> float:
    """Estimate a text's width in px; the signs of East Asia take two places."""
    return sum(2 if unicodedata.east_asian_width(each) in "WF" else 1 for each in value) * size * ADVANCE


def _label_width(edge: Edge) -> float:
    return _width(_short(edge.label, MAX_LABEL), SMALL_SIZE) + 8 if edge.label else 0


def _text(value: str, x: float, y: float, *, size: int, color: str, anchor: str = "start") -> str:
    return (
        f'<text x="{_px(x)}" y="{_px(y)}" font-size="{size}" fill="{color}" text-anchor="{anchor}" '
        f'xml:space="preserve">{escape(value)}</text>'
    )


def _px(value: float) -> str:
    return f"{round(value, 1):g}"
