"""A broker is broken under load: what its clients lose, repeat, and how fast they recover.

`kinds` has the faults, `matrix` lets each happen to each client on each type of queue, `trial` is one of
these, and `figures` draws the outcome. How each client library is used stands in the module of its name.
"""
