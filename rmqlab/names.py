"""The names that the engine's messaging has on a broker."""

__all__ = ["EXCHANGES", "QUEUES", "TASKS"]

TASKS = "engine:tasks"

# What a lesson may make in a virtual host that it does not have to itself, and so all that
# is ever deleted there.
QUEUES = (TASKS,)
EXCHANGES: tuple[str, ...] = ()
