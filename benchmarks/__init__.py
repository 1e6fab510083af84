"""Measurements: each module prints both sides of a claim."""

# Before polars, whose allocator it sets up: commands and Dagster load it first too.
import ukdsl_assets  # noqa: F401
