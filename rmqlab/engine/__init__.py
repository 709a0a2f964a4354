"""The application of the lessons: an Engine API that publishes tasks, an Engine Worker that does them."""

from rmqlab.engine._api import EngineAPI, declare_tasks
from rmqlab.engine._task import Task
from rmqlab.engine._worker import Delivery, EngineWorker, FailurePolicy, Observer, Outcome

__all__ = [
    "Delivery",
    "EngineAPI",
    "EngineWorker",
    "FailurePolicy",
    "Observer",
    "Outcome",
    "Task",
    "declare_tasks",
]
