"""What the lessons measure: a module a subject, its figures beside it.

Workers, broadcast, routing, priority, acknowledgement, prefetch, durability, confirms, recovery,
heartbeats; and two larger ones, `clients` (client libraries side by side) and `faults` (a broker
broken under load). What is named in `__init__.pyi` is loaded when it is first used.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
