"""Runs the models of dbt_like_sql: header and template read, rendered for a cascade, ordered, traced, run and judged.

No table's query is written here: a new table is a file of dbt_like_sql. Which files of a day a model reads, and where
its output goes, is given by `pipeline/tables.py`.
"""
