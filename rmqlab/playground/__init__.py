"""A broker under one's hands: controls, buttons that break it, charts that go on, challenges.

It needs a broker of one's own.
"""

from rmqlab.playground._panel import Playground

__all__ = ["Playground"]
