"""rmqlab: a laboratory that teaches RabbitMQ in Python by measuring it.

The parts, each standing on the ones before it: `rmqlab.broker` (a running RabbitMQ),
`rmqlab.amqp` (pika made ready for work), `rmqlab.engine` (the application of the lessons),
`rmqlab.measure` (what happened to every message), `rmqlab.experiments` (what the lessons measure,
and its figures).
"""

import warnings

import lazy_loader

from rmqlab import errors

# What is named in `__init__.pyi` is loaded when it is first used, so that `import rmqlab` is quick.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

# pika 1.5 announces the end of BlockingConnection in 2.0, at each connection. The lessons use it until then.
warnings.filterwarnings("ignore", "BlockingConnection is deprecated", DeprecationWarning)

for _value in vars(errors).values():
    if isinstance(_value, type) and issubclass(_value, Exception):
        _value.__module__ = __name__  # a traceback shows an error by the name that one imports
