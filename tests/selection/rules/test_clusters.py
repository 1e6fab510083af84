"""What is alike, and single linkage."""

import numpy as np
import polars as pl
import pytest

from ukdsl_assets.declaration.parts import Feature
from ukdsl_assets.selection.rules.clusters import clusters, likeness

N = 4000


def feature(name: str, kind: str = "numeric", **more: object) -> Feature:
    return Feature.model_validate({"name": name, "kind": kind, "side": "candidate", **more})


def test_numbers_are_as_alike_as_the_absolute_correlation() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=N)
    rows = pl.DataFrame(
        {"x": x, "copy": 0.94 * x + np.sqrt(1 - 0.94**2) * rng.normal(size=N), "minus": -3 * x, "c": 1.0}
    )
    found = likeness(rows, tuple(feature(name) for name in rows.columns))
    assert np.allclose(found[:3, :3], np.abs(np.corrcoef(rows.drop("c").to_numpy().T)))
    assert found[3].tolist() == [0, 0, 0, 1]


def test_a_vector_is_alike_another_whose_components_match_and_not_a_number_that_it_holds() -> None:
    rng = np.random.default_rng(0)
    v = rng.normal(size=(N, 4))
    rows = pl.DataFrame(
        {
            "v": pl.Series(v, dtype=pl.Array(pl.Float64, 4)),
            "turned": pl.Series(-v[:, ::-1], dtype=pl.Array(pl.Float64, 4)),
            "x": v[:, 0],
        }
    )
    vectors = [feature(name, "vector", width=4) for name in ("v", "turned")]
    found = likeness(rows, (*vectors, feature("x")))
    assert found[0, 1] == pytest.approx(1)
    assert found[0, 2] < 0.4


def test_ids_are_alike_where_each_tells_the_other_and_not_where_one_way_only() -> None:
    rng = np.random.default_rng(0)
    ad = rng.integers(0, 60, N)
    rows = pl.DataFrame(
        {
            "ad": ad,
            "renamed": [f"ad {each}" for each in ad],
            "category": ad % 6,
            "user": rng.integers(0, 3000, N),
            "visitor": rng.integers(0, 3000, N),
        }
    )
    found = likeness(rows, tuple(feature(name, "categorical") for name in rows.columns))
    assert found[0, 1] == pytest.approx(1)
    assert found[0, 2] == pytest.approx(np.log(6) / np.log(60), abs=0.02)
    # Rare ids seem to tell each other; shuffled ones just as much.
    assert found[3, 4] < 0.05


def test_nulls_and_numbers_that_are_not_finite_do_no_harm() -> None:
    rows = pl.DataFrame(
        {"x": [1.0, 2.0, None, 4.0, float("nan")], "y": [2.0, 4.0, 1.0, 8.0, 0.0], "i": [1, None, 1, 2, 2]}
    )
    found = likeness(rows, (feature("x"), feature("y"), feature("i", "categorical")))
    assert found[0, 1] == pytest.approx(1)
    assert np.isfinite(found).all()
    assert likeness(rows.clear(), (feature("x"), feature("y"))).tolist() == [[1, 0], [0, 1]]


def test_single_linkage_joins_chains_and_numbers_clusters_in_the_order_of_features() -> None:
    alike = np.eye(5)
    for i, j in ((1, 3), (3, 4)):
        alike[i, j] = alike[j, i] = 0.9
    assert clusters(alike).tolist() == [0, 1, 2, 1, 1]
    assert clusters(np.eye(3)).tolist() == [0, 1, 2]
    assert clusters(np.empty((0, 0))).tolist() == []
