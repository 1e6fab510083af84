"""Both tables of an evaluation, in two passes over the shards: the second needs what the first has summed."""

from collections.abc import Sequence

import polars as pl

from ukdsl_assets.learning.evaluation.by_group import Grouping, counted
from ukdsl_assets.learning.evaluation.mapped import Mapped
from ukdsl_assets.learning.evaluation.passes import one_pass
from ukdsl_assets.learning.evaluation.predictions import PredictedShards
from ukdsl_assets.learning.evaluation.table import areas_under, curves_of, table_from
from ukdsl_assets.learning.evaluation.totals import TOTALS, totals_from


def both_tables(
    shards: PredictedShards, segments: Sequence[str], seed: int = 0, mapped: Mapped = map
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """`table.evaluate_shards` and `by_group.calibration_by_group_of_shards`; arguments as there."""
    found, counts = one_pass(shards, seed, [TOTALS, counted(segments)], mapped)
    totals = totals_from(found)
    curves, grouping = curves_of(totals), Grouping.of(totals, counts)
    areas, groups = one_pass(shards, seed, [areas_under(curves), grouping.summed], mapped)
    return table_from(totals, curves, areas), grouping.table(groups)
