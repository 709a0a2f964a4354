"""Messages one can see: the replay of a run, as it was recorded."""

from rmqlab.view._replay import Mark, Replay, Scene, replay

__all__ = ["Mark", "Replay", "Scene", "replay"]
