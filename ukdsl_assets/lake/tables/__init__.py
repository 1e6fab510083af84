"""Tables by day as Delta: files are written and checked first, then one commit swaps a day's files, whole or not.

What rows mean, which gates they pass and what they are made from belong to `logs/`, `sql/` and `pipeline/`. Readers
open the live files of one version, never a listing of a folder.
"""
