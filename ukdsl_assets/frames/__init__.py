"""What rows of every table share: which files hold them, types, splits by the hash of a request, stages, `served_as`.

Series and expressions over a declaration; no file or table is opened. Rules that only logs keep are in `logs/rules.py`,
and what only a model makes of a column is in `learning/features`.
"""
