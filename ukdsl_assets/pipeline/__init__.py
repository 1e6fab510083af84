"""A day of one step without Dagster: from what is published to what is made of it, and the verdicts on that.

It opens tables and checkpoints, hands frames to the core, and saves what comes back, which `defs/` publishes; only what
is released is decided and moved here. Formulas and models belong to `learning/` and `selection/`, queries to
dbt_like_sql, names and checks of assets to `defs/`.
"""
