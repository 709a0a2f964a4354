"""The names that the engine's messaging has on a broker.

They stand below the layers, since the lowest of these needs them, too: in a virtual host that others
share, a lab must not take what is theirs for its own, and looks for these names before it starts.
"""

__all__ = ["EVENTS", "EXCHANGES", "HIGH_PRIORITY", "QUEUES", "ROUTING", "TASKS"]

# The application's own.
TASKS = "engine:tasks"  # a queue
EVENTS = "engine:events"  # a fanout exchange
ROUTING = "engine:routing"  # a direct exchange
HIGH_PRIORITY = "high-priority"  # a routing key

# What the lessons make: a lab does not start in a shared virtual host where one of these is taken.
QUEUES = (
    TASKS,
    "engine:tasks:high-priority",
    "engine:tasks:limited",
    "engine:tasks:priority",
    "engine:tasks:quorum",
    "engine:tasks:with-dead-letters",
    "engine:events:archive",
    "engine:events:billing",
    "engine:dead-letters",
    "engine:unrouted",
)
EXCHANGES = (EVENTS, ROUTING, "engine:airports", "engine:topics", "engine:unrouted")
