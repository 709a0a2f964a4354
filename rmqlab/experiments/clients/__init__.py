"""Client libraries side by side: how many times as fast as plain pika each publishes and consumes.

How each library is used stands in the module of its name. `variants` says who takes part, `compare`
lets them run by turns, in `processes`, and `figures` draws the ratios.
"""
