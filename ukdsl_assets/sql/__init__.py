"""Runs the models of dbt_like_sql: read, render, order, trace, run and audit."""
