"""The contract of the logs, the rules of their rows, their clock, and a day put together from parts, shard by shard.

Readers are in `sources/`, the gates of a day in `gates/`. Labels, joins and samples of candidates are made by the SQL
models, and a judged day is written to the lake by `pipeline/logs.py`. Logs of pages that only an experiment reads are
summed by visitor in `visitor_days.py`; they keep no contract but the columns that its caller names.
"""
