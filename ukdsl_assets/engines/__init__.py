"""Where the shards of a step are worked on: in this process, in processes of this machine, or on a Ray cluster.

Knows neither tables nor rows: a step gives a function and a list of shards, and gets the results in their order.
"""
