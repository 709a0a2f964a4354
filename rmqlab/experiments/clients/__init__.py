"""Client libraries side by side: who publishes and who consumes how many times as fast as plain pika.

`compare_clients` runs them, `ClientsConfig` says what and how long, and `plot_clients` draws the
ratios. How each library is used stands in the module of its name.
"""
