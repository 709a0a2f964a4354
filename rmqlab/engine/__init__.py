"""The application of the lessons: an Engine API that publishes tasks and events, workers, subscribers."""

from rmqlab.amqp import Crash
from rmqlab.engine._api import EngineAPI
from rmqlab.engine._body import Event, Task
from rmqlab.engine._consumers import EngineWorker, EventSubscriber
from rmqlab.engine._topology import TOPOLOGY

__all__ = ["TOPOLOGY", "Crash", "EngineAPI", "EngineWorker", "Event", "EventSubscriber", "Task"]
