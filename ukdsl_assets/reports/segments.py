"""Groups of a segment as people call them."""

import polars as pl

from ukdsl_assets.declaration.cascade import Cascade


def with_names(cascade: Cascade, groups: pl.DataFrame) -> pl.DataFrame:
    """calibration_by_group with the declared `names` of features in column `group`; all else, deciles too, as it was.

    Args:
        groups: columns by and group, both String; may be empty.
    """
    for feature in cascade.features:
        if feature.names:
            called = pl.col("group").replace(dict(feature.names))
            groups = groups.with_columns(group=pl.when(by=feature.name).then(called).otherwise("group"))
    return groups
