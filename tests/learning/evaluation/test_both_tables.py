"""Both tables at once are the tables one by one, of two readings of each shard."""

from collections import Counter
from collections.abc import Callable

import numpy as np
import polars as pl
from polars.testing import assert_frame_equal

from ukdsl_assets.learning.evaluation.both_tables import both_tables
from ukdsl_assets.learning.evaluation.by_group import calibration_by_group
from ukdsl_assets.learning.evaluation.predictions import PredictedRows
from ukdsl_assets.learning.evaluation.table import evaluate

RNG = np.random.default_rng(0)
ROWS = pl.DataFrame(
    {
        "request_id": np.arange(400) // 8,
        "domain": ["IMP", "CD", "CD", "REJECTED", *["SCORED"] * 4] * 50,
        "target": RNG.uniform(0.1, 1, 400).astype(np.float32),
        "weight": RNG.uniform(1, 3, 400).astype(np.float32),
        "truth": RNG.uniform(0.1, 1, 400).astype(np.float32),
        "_beyond": [True, False] * 200,
        "country": pl.Series([3, None, 1, 1, 2] * 80),
    }
)
PREDICTIONS = {
    ("baseline", "impression"): RNG.random(400).astype(np.float32),
    ("distilled", "consideration"): RNG.random(400).astype(np.float32),
}


def shards_of(count: int, read: Counter[int]) -> list[Callable[[], PredictedRows]]:
    def reader(shard: int) -> Callable[[], PredictedRows]:
        rows = ROWS["request_id"] % count == shard

        def shard_of_rows() -> PredictedRows:
            read[shard] += 1
            return PredictedRows(ROWS.filter(rows), {key: p[rows.to_numpy()] for key, p in PREDICTIONS.items()})

        return shard_of_rows

    return [reader(shard) for shard in range(count)]


def test_they_are_those_of_all_rows_whatever_the_shards_and_each_shard_is_read_twice() -> None:
    for count in (1, 3, 7):
        read: Counter[int] = Counter()
        table, by_group = both_tables(shards_of(count, read), ["country"], seed=3)
        assert_frame_equal(table, evaluate(ROWS, PREDICTIONS, seed=3), rel_tol=1e-12, abs_tol=1e-15)
        whole = calibration_by_group(ROWS, PREDICTIONS, ["country"], seed=3)
        assert_frame_equal(by_group, whole, rel_tol=1e-12, abs_tol=1e-15)
        assert read == dict.fromkeys(range(count), 2)
