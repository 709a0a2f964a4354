"""The playground as JupyterLab shows it: controls, the live view, four charts, ten challenges."""

from __future__ import annotations

import atexit
import contextlib
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

import anywidget
import ipywidgets
import traitlets
from IPython.display import SVG

from rmqlab.broker import Broker
from rmqlab.broker._own_broker import require_own
from rmqlab.closing import Closing
from rmqlab.errors import TimeLimitError
from rmqlab.experiments.failing_work import capture_failures
from rmqlab.playground._challenges import CHALLENGES, Sample
from rmqlab.playground._system import ACKS, ACTIONS, QUEUES, SPREADS, Settings, System
from rmqlab.view._watch import watch

SAMPLE_EVERY_S = 0.25
KEPT = 240  # samples: a minute
RATES = ("published", "done", "redelivered")
RATE_OVER = 4  # samples: a second
QUIET = 6  # samples without anything going on, before what is missing counts as lost
DEPTH_IS_OLD_S = 1.0
JOIN_S = 10

ORANGE, BLUE, GREEN, PINK, PLUM = "#D55E00", "#0072B2", "#009E73", "#CC79A7", "#8F4373"
# Title and unit; of each line its column, its label and its color.
CHARTS: list[list[Any]] = [
    ["Depth", "messages", ["ready", "ready", ORANGE], ["held", "in hand", BLUE]],
    ["Rate", "per second", ["published_msg_s", "published/s", ORANGE], ["done_msg_s", "done/s", GREEN]],
    ["Wait", "ms", ["wait_median_ms", "median", BLUE], ["wait_p95_ms", "95th percentile", PINK]],
    ["Redelivered", "per second", ["redelivered_msg_s", "redelivered/s", PLUM]],
]
COLUMNS = ["time_s", *(name for _, _, *lines in CHARTS for name, *_ in lines)]


class Charts(anywidget.AnyWidget):
    """Four small charts, and the challenges below them."""

    _esm = Path(__file__).with_name("charts.js")
    charts = traitlets.List(CHARTS).tag(sync=True)
    columns = traitlets.Dict().tag(sync=True)
    challenges: traitlets.List[Any] = traitlets.List().tag(sync=True)


class Playground(Closing):
    """A broker to play with: a publisher and workers go on while one turns at them, and breaks them.

    It is the value of a cell. Nothing of it runs in a cell, so every control answers at once. It ends
    with the kernel, or by `close()`.

    Args:
        broker: a broker of one's own, from `start_broker(own=True)`.

    Attributes:
        samples: what was measured in the last minute, four times a second.
        met: which challenges were met so far.

    Raises:
        FaultError: the broker is somebody else's.
    """

    def __init__(self, broker: Broker) -> None:
        own = require_own(broker, given_to="Playground")
        self.samples: deque[Sample] = deque(maxlen=KEPT)
        self.met: set[str] = set()
        with contextlib.ExitStack() as stack:
            stack.enter_context(capture_failures())  # poison would fill the notebook
            self._view = stack.enter_context(contextlib.closing(watch(own)))
            self._system = stack.enter_context(System(own))
            self._stack = stack.pop_all()
        self._charts = Charts()
        self._controls = _controls(self._system.change)
        self._totals: deque[tuple[float, Counter[str]]] = deque(maxlen=RATE_OVER + 1)
        self._quiet = 0
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._sample, name="rmqlab-playground-samples", daemon=True)
        rows = [_row(list(self._controls.values())), _row(_buttons(self.act)), self._view, self._charts]
        self._box = ipywidgets.VBox(rows)
        self._show_challenges()
        atexit.register(self.close)
        self._thread.start()

    def change(self, **settings: Any) -> None:
        """Change settings, as the controls do; see `Settings` for their names.

        Raises:
            ValueError: there is no such setting.
            TraitError: its control does not take this value.
        """
        for name in settings:
            _check(name, self._controls, "setting")
        for name, value in settings.items():
            self._controls[name].value = value

    def act(self, action: str) -> None:
        """Do what a button does, by its name.

        Raises:
            ValueError: there is no such button.
        """
        _check(action, ACTIONS, "button")
        self._system.act(action)

    def wait_for(self, condition: Callable[[Sample], bool], *, timeout_s: float = 60) -> Sample:
        """Wait until something is so, and return the sample of which it is.

        Raises:
            TimeLimitError: it was not so within the time limit.
        """
        end_s = time.monotonic() + timeout_s
        since_s = self.samples[-1].time_s if self.samples else 0
        while time.monotonic() < end_s:
            for sample in list(self.samples):
                if sample.time_s > since_s and condition(sample):
                    return sample
            self._ended.wait(SAMPLE_EVERY_S / 2)
        raise TimeLimitError(
            f"It was not so within {timeout_s:g} s. Next: see what the charts say, or give a longer timeout_s"
        )

    def still(self) -> SVG:
        """Return the live view as it is now: what a stored notebook keeps."""
        picture = self._view.picture or None  # there is none in the first moment
        return SVG(picture)  # type: ignore[no-untyped-call]

    def close(self) -> None:
        """End the workers, the publisher and the view. Safe to call twice."""
        self._ended.set()
        self._thread.join(JOIN_S)
        self._stack.close()
        atexit.unregister(self.close)

    def _repr_mimebundle_(self, **options: Any) -> Any:
        bundle = self._box._repr_mimebundle_(**options)
        return {**bundle, "text/plain": "The playground. It needs a kernel: run this cell in JupyterLab."}

    def _sample(self) -> None:
        started_s = time.perf_counter()
        while not self._ended.wait(SAMPLE_EVERY_S):
            self.samples.append(self._look(time.perf_counter() - started_s))
            rows = list(self.samples)
            met = {words for words, is_met in CHALLENGES.items() if is_met(rows)} - self.met
            if met:
                self.met |= met
                self._show_challenges()
            self._charts.columns = _columns(rows)
            self._controls["workers"].value = self._system.settings.workers  # one may have been killed

    def _look(self, time_s: float) -> Sample:
        system, counts = self._system, self._system.counts
        totals = counts.totals.copy()
        self._totals.append((time_s, totals))
        since_s, before = self._totals[0]
        span_s = max(time_s - since_s, SAMPLE_EVERY_S)
        ready = self._ready()
        hands = tuple(member.hand.held for member in list(system.members))
        is_quiet = ready == 0 and not any(hands) and totals == before
        self._quiet = self._quiet + 1 if is_quiet else 0
        if self._quiet >= QUIET:
            counts.lost += counts.forget()
        return Sample(
            time_s=time_s,
            settings=system.settings,
            ready=ready,
            hands=hands,
            **{f"{name}_msg_s": (totals[name] - before[name]) / span_s for name in RATES},
            **counts.waits_ms(),
            redelivered=totals["redelivered"],
            lost=counts.lost,
            is_quiet=self._quiet >= QUIET,
            emptied=counts.emptied,
            freezes=counts.freezes,
            kills=tuple(counts.kills),
        )

    def _ready(self) -> int | None:
        if time.monotonic() - self._view.seen_s > DEPTH_IS_OLD_S:
            return None
        return self._view.depths.get(QUEUES[self._system.settings.queue].name, (None, None))[0]

    def _show_challenges(self) -> None:
        self._charts.challenges = [[words, words in self.met] for words in CHALLENGES]


def _columns(samples: list[Sample]) -> dict[str, list[float | None]]:
    columns = {name: [getattr(each, name, None) for each in samples] for name in COLUMNS}
    return columns | {"held": [sum(each.hands) for each in samples]}


def _controls(change: Callable[..., None]) -> dict[str, Any]:
    """Make a control for each setting."""
    start = Settings()
    wide = {"style": {"description_width": "10em"}, "layout": {"width": "23em"}}

    def slider(name: str, words: str, most: int, step: int = 1) -> Any:
        return ipywidgets.IntSlider(
            getattr(start, name), 0, most, step, description=words, continuous_update=False, **wide
        )

    def choice(name: str, words: str, options: list[str]) -> Any:
        return ipywidgets.Dropdown(options=options, value=getattr(start, name), description=words, **wide)

    controls = {
        "rate_msg_s": slider("rate_msg_s", "Tasks a second", 500, 10),
        "high_percent": slider("high_percent", "High priority, %", 100, 5),
        "queue": choice("queue", "Queue", list(QUEUES)),
        "workers": slider("workers", "Workers", 8),
        "prefetch": slider("prefetch", "Prefetch (0: all)", 100),
        "work_ms": slider("work_ms", "Work, ms a task", 500, 10),
        "spread": choice("spread", "Work times", list(SPREADS)),
        "ack": choice("ack", "Acknowledge", list(ACKS)),
        "on_failure": choice("on_failure", "A failed task", ["requeue", "reject"]),
    }
    for name, control in controls.items():
        control.observe(lambda event, name=name: change(**{name: event["new"]}), names="value")
    return controls


def _buttons(act: Callable[[str], None]) -> list[Any]:
    buttons = []
    for words in ACTIONS:
        button = ipywidgets.Button(description=words, layout={"width": "auto"})
        button.on_click(lambda _, words=words: act(words))
        buttons.append(button)
    return buttons


def _row(children: list[Any]) -> Any:
    return ipywidgets.HBox(children, layout={"flex_flow": "row wrap"})


def _check(name: str, known: Collection[str], kind: str) -> None:
    if name not in known:
        raise ValueError(f"There is no {kind} {name!r}. Next: take one of {', '.join(known)}")
