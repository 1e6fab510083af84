"""What a cascade's YAML may say, its defaults, its look-ups, and how a wrong one is told.

Pydantic and YAML alone: a declaration is read without polars, and knows names of columns but no frame. What a block
*does* is written in the room that does it (a source in `logs/sources`, an architecture in `learning/networks`, a rule
in `selection/rules`); settings of a machine or a lake are `settings.py`.
"""
