"""The matrix: each fault with each client on each type of queue, in turns."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from rmqlab.broker import Broker
from rmqlab.errors import RmqlabError
from rmqlab.experiments.faults._clients import CLIENTS, Client
from rmqlab.experiments.faults._kinds import FAULTS, FaultKind
from rmqlab.experiments.faults._trial import Settings, Trial, run_trial

QUEUE_TYPES = ("classic", "quorum")


@dataclass(frozen=True, slots=True)
class Cell:
    """A place in the matrix.

    Attributes:
        client: who publishes and consumes.
        kind: what happens.
        queue_type: `classic` or `quorum`.
    """

    client: Client
    kind: FaultKind
    queue_type: str

    def __str__(self) -> str:
        return f"{self.kind.name}: {self.client.name}, {self.queue_type}"


def find_cells(
    clients: Sequence[str] = (), kinds: Sequence[str] = (), queue_types: Sequence[str] = QUEUE_TYPES
) -> tuple[Cell, ...]:
    """Give the cells of these clients and faults, whose libraries are installed.

    Args:
        clients: names of clients; none for all.
        kinds: names of faults; none for all.
        queue_types: types of queues.

    Raises:
        RmqlabError: there is no such client or fault, or none is installed.
    """
    for what, names, known in (("client", clients, list(CLIENTS)), ("fault", kinds, list(FAULTS))):
        for name in names:
            if name not in known:
                choice = ", ".join(map(repr, known))
                raise RmqlabError(f"There is no {what} {name!r}. Next: name some of {choice}, or none")
    chosen = [CLIENTS[name] for name in clients or CLIENTS]
    here = [client for client in chosen if client.library.version is not None]
    if not here:
        raise RmqlabError("No such client is installed. Next: pip install 'rmqlab[bench]'")
    return tuple(
        Cell(client, FAULTS[name], queue_type)
        for name in kinds or FAULTS
        for queue_type in queue_types
        for client in here
    )


def run_matrix(
    broker: Broker,
    cells: Iterable[Cell],
    *,
    repeats: int = 3,
    settings: Settings | None = None,
    seed: int = 1,
    on_trial: Callable[[Cell], object] = lambda _: None,
    on_result: Callable[[Trial], object] = lambda _: None,
) -> list[Trial]:
    """Run each cell so many times; they take turns, in an order that is shuffled each time.

    Args:
        broker: a broker of our own: `start_broker(own=True)`.
        cells: from `find_cells`.
        repeats: how often each runs.
        settings: how a trial is done; None takes the defaults.
        seed: of the order.
        on_trial: is called before each trial.
        on_result: is called after each trial.

    Raises:
        BrokerError: the broker does not come back.
        FaultError: the broker is not ours to break.
        ValueError: `repeats` is below 1.
    """
    if repeats < 1:
        raise ValueError(f"repeats is {repeats}; it goes from 1")
    shuffle = random.Random(seed).shuffle  # noqa: S311 the order of turns is no secret
    turns = list(cells)
    trials = []
    for repeat in range(1, repeats + 1):
        shuffle(turns)
        for cell in turns:
            on_trial(cell)
            trials.append(
                run_trial(broker, cell.client, cell.kind, cell.queue_type, repeat=repeat, settings=settings)
            )
            on_result(trials[-1])
    return trials
