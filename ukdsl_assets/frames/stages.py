"""Which rows a stage has scored."""

import polars as pl

from ukdsl_assets.declaration.cascade import Cascade


def reached(cascade: Cascade, stage: str) -> pl.Expr:
    """Whether a row was scored by `stage`; false for an unknown deepest stage."""
    return pl.col("deepest_stage").is_in([item.name for item in cascade.stages[cascade.depth(stage) :]])


def probed_by(cascade: Cascade, stage: str) -> pl.Expr:
    """Whether the stage before `stage` rejected a row that `stage` scored all the same; false without probes."""
    depth = cascade.depth(stage)
    if not cascade.has_probes or depth == 0:
        return pl.lit(False)
    return pl.col("probed") & (pl.col("deepest_stage") == cascade.stages[depth - 1].name)
