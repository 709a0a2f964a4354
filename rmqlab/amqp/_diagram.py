"""Draw a topology: as text, and as an SVG picture."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from xml.sax.saxutils import escape

from rmqlab.amqp._graph import DEFAULT_EXCHANGE, PUBLISHERS, Edge, EdgeKind, Graph, Key, Node

SPECIAL_NAMES = {DEFAULT_EXCHANGE: "default exchange", ("queue", ""): "named by the broker"}

# Okabe and Ito's colors, as in rmqlab.figures, which a package below it cannot import; the fills
# are tints of the same.
INK, GREY = "#222222", "#737373"
# Programs are blue, and what the broker has is orange, as in the pictures of the lessons.
BORDERS = {"publishers": "#0072B2", "exchange": "#D55E00", "queue": "#D55E00", "consumer": "#0072B2"}
FILLS = {"publishers": "#EEF5FA", "exchange": "#FDF3EC", "queue": "#FDF3EC", "consumer": "#EEF5FA"}
LINES: dict[EdgeKind, tuple[str, str, str]] = {  # color, dashes, color of the small label
    "publish": (GREY, "", GREY),
    "binding": (INK, "", INK),
    "dead letter": ("#D55E00", "7 4", "#A84A00"),
}

MAX_TEXT = 34  # characters in the picture
NAME_SIZE, SMALL_SIZE = 13, 11  # font sizes, px
ADVANCE = 0.61  # width of a character of a monospaced font, in font sizes
LINE_HEIGHT, PADDING = 16, 10
PORT = 22  # between two arrows that enter a box
GAP, CURVE, MARGIN = 20, 48, 16  # between boxes, for the curves between columns, around all
ARROW = 9


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
    return "\n".join(out)


@dataclass(slots=True)
class Box:
    """A node with its place: its top left corner and its size, in px."""

    node: Node
    entering: list[Edge]  # from top to bottom
    x: float = 0
    y: float = 0
    width: float = 0
    height: float = 0
    label_width: float = 0  # on its left, for the labels of the arrows that enter it

    @property
    def middle(self) -> float:
        return self.y + self.height / 2

    def entry(self, edge: Edge) -> float:
        """Return the height at which an arrow enters, in px: they are spread over the left side."""
        return self.middle + (self.entering.index(edge) - (len(self.entering) - 1) / 2) * PORT

    def texts(self) -> Iterator[tuple[str, int, str]]:
        """Return each line in it, with its font size and color."""
        yield _short(_name(self.node.key)), NAME_SIZE, INK
        for line in self.node.lines:
            yield _short(line), SMALL_SIZE, "#444444"


def place(graph: Graph) -> dict[Key, Box]:
    """Place all boxes, from the publishers on the left to the queues on the right."""
    boxes = {
        key: Box(node, [edge for edge in graph.edges if edge.target == key])
        for key, node in graph.nodes.items()
    }
    columns = [[boxes[key] for key in column] for column in _columns(graph)]
    for box in boxes.values():
        texts = 2 * PADDING + LINE_HEIGHT * (1 + len(box.node.lines))
        box.height = max(texts, len(box.entering) * PORT + 4)
    heights = [sum(box.height + GAP for box in column) - GAP for column in columns]
    x = float(MARGIN)
    for column, height in zip(columns, heights, strict=True):
        labels = [_label_width(edge) for box in column for edge in box.entering]
        label_width = max(labels, default=0.0) + ARROW + 8
        if labels:
            x += CURVE + label_width
        width = 2 * PADDING + max(_width(line, size) for box in column for line, size, _ in box.texts())
        y = MARGIN + (max(heights) - height) / 2
        for box in column:
            box.x, box.y, box.width, box.label_width = x, y, width, label_width
            y += box.height + GAP
        x += width
    for box in boxes.values():
        box.entering.sort(key=lambda edge: boxes[edge.source].middle)
    return boxes


def _columns(graph: Graph) -> Iterator[list[Key]]:
    """Sort the nodes by how many arrows they are away from the publishers, and beside their sources."""
    left, column = list(graph.nodes), [PUBLISHERS]
    while left:
        yield column
        left = [key for key in left if key not in column]
        targets = [edge.target for key in column for edge in graph.edges if edge.source == key]
        column = [key for key in dict.fromkeys(targets) if key in left]


def svg(graph: Graph) -> str:
    """Draw as a picture, in columns from the publishers on the left to the queues on the right."""
    boxes = place(graph)
    width = max((box.x + box.width for box in boxes.values()), default=0.0) + MARGIN
    height = max((box.y + box.height for box in boxes.values()), default=0.0) + MARGIN
    title = _title(graph)
    frame = f'width="{_px(width)}" height="{_px(height)}"'
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" {frame} '
        f'viewBox="0 0 {_px(width)} {_px(height)}" role="img" aria-label="{title}" '
        f"font-family=\"'DejaVu Sans Mono', Menlo, Consolas, monospace\">"
        f"<title>{title}</title>"
        f'<rect {frame} fill="#FFFFFF"/>'
        + "".join(_arrow(boxes[edge.source], boxes[edge.target], edge) for edge in graph.edges)
        + "".join(_box(box) for box in boxes.values())
        + "</svg>"
    )


def _title(graph: Graph) -> str:
    kinds = [node.key[0] for node in graph.nodes.values() if node.lines]
    kinds += [edge.kind for edge in graph.edges]
    counts = ((kinds.count(kind), kind) for kind in ("exchange", "queue", "binding"))
    return "Topology of " + ", ".join(f"{n} {kind}" if n == 1 else f"{n} {kind}s" for n, kind in counts)


def _arrow(source: Box, target: Box, edge: Edge) -> str:
    color, dashes, label_color = LINES[edge.kind]
    x, y = source.x + source.width, source.middle
    start, port, tip = target.x - target.label_width, target.entry(edge), target.x - 1
    bend = (x + start) / 2
    way = f"C{_px(bend)} {_px(y)} {_px(bend)} {_px(port)} {_px(start)} {_px(port)}"
    line = f'stroke="{color}" stroke-width="1.5"' + (f' stroke-dasharray="{dashes}"' if dashes else "")
    drawn = (
        f'<path d="M{_px(x)} {_px(y)}{way}H{_px(tip - ARROW + 1)}" '
        f'fill="none" stroke-linejoin="round" {line}/>'
        f'<path d="M{_px(tip)} {_px(port)}l{-ARROW} -4v8z" fill="{color}"/>'
    )
    if edge.label:
        label = _short(edge.label)
        drawn += _text(label, start + 3, port - 4, size=SMALL_SIZE, color=label_color)
    return drawn


def _box(box: Box) -> str:
    kind = box.node.key[0]
    corner = {"publishers": box.height / 2, "exchange": 10}.get(kind, 0)
    dash = "" if box.node.lines or kind == "publishers" else ' stroke-dasharray="4 3"'
    drawn = (
        f'<rect x="{_px(box.x)}" y="{_px(box.y)}" width="{_px(box.width)}" height="{_px(box.height)}" '
        f'rx="{_px(corner)}" fill="{FILLS[kind]}" stroke="{BORDERS[kind]}" stroke-width="1.5"{dash}/>'
    )
    x, y = box.x + box.width / 2, box.middle - LINE_HEIGHT * len(box.node.lines) / 2 + NAME_SIZE * 0.35
    for row, (line, size, color) in enumerate(box.texts()):
        drawn += _text(line, x, y + row * LINE_HEIGHT, size=size, color=color, anchor="middle")
    return drawn


def _name(key: Key) -> str:
    return SPECIAL_NAMES.get(key, key[1])


def _titled(key: Key) -> str:
    return _name(key) if key == DEFAULT_EXCHANGE else f"{key[0]} {_clean(_name(key))}"


def _clean(value: str) -> str:
    """Put a mark in place of what has no sign, or would change how its neighbors are shown."""
    return "".join(each if each.isprintable() else "\N{REPLACEMENT CHARACTER}" for each in value)


def _short(value: str) -> str:
    """Leave out the middle of a long text: names that begin alike stay apart."""
    value = _clean(value)
    half = (MAX_TEXT - 1) // 2
    return value if len(value) <= MAX_TEXT else f"{value[:half]}…{value[-half:]}"


def _width(value: str, size: int) -> float:
    return len(value) * size * ADVANCE


def _label_width(edge: Edge) -> float:
    return _width(_short(edge.label), SMALL_SIZE) + 8 if edge.label else 0


def _text(value: str, x: float, y: float, *, size: int, color: str, anchor: str = "start") -> str:
    return (
        f'<text x="{_px(x)}" y="{_px(y)}" font-size="{size}" fill="{color}" text-anchor="{anchor}" '
        f'xml:space="preserve">{escape(value)}</text>'
    )


def _px(value: float) -> str:
    return f"{round(value, 1):g}"
