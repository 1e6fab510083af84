"""The gates that a day of logs must pass before it is published, counted over shards; messages name keys, files, a fix.

What each row must satisfy is in `logs/rules.py`, since the schemas carry it too. Gates of tables are in `sql/gates.py`,
those of teachers and students in `learning/`.
"""
