"""Rows of teacher_augmented with signal in them, for tests of learning."""

import numpy as np
import polars as pl

from ukdsl_assets.cascade import SHIPPED, Cascade, read_cascade
from ukdsl_assets.declared_students import Student

CASCADE: Cascade = read_cascade(SHIPPED / "simulated_ads.yaml")
STUDENT: Student = CASCADE.student("pre_ranking_click")
SIZES = {"user_segment": 8, "ad": 40, "advertiser": 10, "category": 5}


def training_rows(requests: int = 200, considered: int = 12, shown: int = 3, seed: int = 0) -> pl.DataFrame:
    """Shown rows stand in both domains; the teacher knows the true probability, which depends on ad and segment."""
    rng = np.random.default_rng(seed)
    n = requests * considered
    request = np.repeat(np.arange(requests), considered)
    columns: dict[str, pl.Series] = {}
    for feature in CASCADE.features_of(STUDENT):
        rows = requests if feature.side == "request" else n
        if feature.kind == "categorical":
            values = rng.integers(0, SIZES.get(feature.name, 4), rows)
            dtype: pl.DataType = pl.Int64()
        else:
            values = rng.normal(size=(rows, feature.width or 1)).astype(np.float32)
            dtype = pl.Array(pl.Float32, feature.width or 1)
        columns[feature.name] = pl.Series(values[request] if feature.side == "request" else values, dtype=dtype)
    effects = np.random.default_rng(99)
    ad, segment = effects.normal(0, 1.2, SIZES["ad"]), effects.normal(0, 0.8, SIZES["user_segment"])
    logit = -2 + ad[columns["ad"].to_numpy()] + segment[columns["user_segment"].to_numpy()]
    truth = 1 / (1 + np.exp(-logit))
    base = pl.DataFrame({"request_id": request, "candidate_id": np.tile(np.arange(considered), requests), **columns})
    labels = base.with_columns(
        domain=pl.lit("IMP"), target=pl.Series((rng.random(n) < truth).astype(np.float32))
    ).filter(pl.col("candidate_id") < shown)
    taught = base.with_columns(domain=pl.lit("CD"), target=pl.Series(truth.astype(np.float32)))
    rows = pl.concat([labels, taught]).with_columns(weight=pl.lit(1.0, pl.Float32))
    return rows.sort("request_id", "candidate_id", "domain")


def impressions(rows: int = 3000, seed: int = 0) -> pl.DataFrame:
    """Shown rows whose click depends on the ad and on one pair signal; conversion only where clicked."""
    rng = np.random.default_rng(seed)
    columns: dict[str, pl.Series] = {}
    for feature in CASCADE.features:
        if feature.kind == "categorical":
            columns[feature.name] = pl.Series(rng.integers(0, 10, rows))
        else:
            values = rng.normal(size=(rows, feature.width or 1)).astype(np.float32)
            columns[feature.name] = pl.Series(values, dtype=pl.Array(pl.Float32, feature.width or 1))
    logit = -1 + 0.3 * (columns["ad"].to_numpy() - 5) + columns["pair_signals"].to_numpy()[:, 0]
    click = (rng.random(rows) < 1 / (1 + np.exp(-logit))).astype(np.float32)
    conversion = np.where(click == 1, rng.random(rows) < 0.3, np.nan)
    keys = {"request_id": np.arange(rows) // 3, "candidate_id": np.arange(rows), "explored": np.arange(rows) % 2 == 0}
    keys |= {"deepest_stage": np.full(rows, "ranking")}
    labels = {"click": click, "conversion": pl.Series(conversion.astype(np.float32)).fill_nan(None)}
    return pl.DataFrame({**keys, **columns, **labels})
