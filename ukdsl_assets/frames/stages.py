"""Which rows a stage has scored."""

import polars as pl

from ukdsl_assets.declaration.cascade import Cascade


def reached(cascade: Cascade, stage: str) -> pl.Expr:
    """Whether a row was scored by `stage`; false for an unknown deepest stage."""
    return pl.col("deepest_stage").is_in([item.name for item in cascade.stages[cascade.depth(stage) :]])
