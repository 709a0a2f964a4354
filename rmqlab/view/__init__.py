"""Messages one can see: the replay of a run, as it was recorded."""

from rmqlab.view._replay import Replay, replay
from rmqlab.view._scene import Mark, Scene

__all__ = ["Mark", "Replay", "Scene", "replay"]
