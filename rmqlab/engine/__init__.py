"""The application of the lessons: an Engine API that publishes tasks, an Engine Worker that does them."""

from rmqlab.engine._api import EngineAPI, declare_tasks
from rmqlab.engine._task import Task
from rmqlab.engine._worker import EngineWorker

__all__ = ["EngineAPI", "EngineWorker", "Task", "declare_tasks"]
