"""A broker is broken under load: what its clients lose, repeat, and how fast they recover.

`break_everything` runs each fault with each client on each type of queue, `FaultsConfig` says
which and how long, and `plot_faults` draws what came of it. How each client library is used stands
in the module of its name.
"""
