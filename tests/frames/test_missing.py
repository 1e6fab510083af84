"""What counts as a missing value, kind by kind."""

import polars as pl
import pytest

from ukdsl_assets.declaration.parts import Feature
from ukdsl_assets.frames.missing import is_missing, missing_as_null

NAN = float("nan")
VECTOR = pl.Array(pl.Float32, 2)
KINDS: dict[str, tuple[dict[str, object], pl.Series, list[bool]]] = {
    "id": ({"kind": "categorical"}, pl.Series([1, None, 0]), [False, True, False]),
    "text": ({"kind": "categorical", "values": "string"}, pl.Series(["a", None, ""]), [False, True, False]),
    "list": ({"kind": "multi_valued"}, pl.Series([[1], None, []]), [False, True, False]),
    "number": (
        {"kind": "numeric"},
        pl.Series([1.0, None, NAN, float("inf"), 0.0], dtype=pl.Float32),
        [False, True, True, False, False],
    ),
    "vector": (
        {"kind": "vector", "width": 2},
        pl.Series([[1, 2], None, [NAN, NAN], [None, NAN], [NAN, 2], [None, 2]], dtype=VECTOR),
        [False, True, True, True, False, False],
    ),
    "vector of a lake": (
        {"kind": "vector", "width": 2},
        pl.Series([[1.0, 2.0], None], dtype=pl.List(pl.Float32)),
        [False, True],
    ),
    "nothing": ({"kind": "vector", "width": 2}, pl.Series([], dtype=VECTOR), []),
}


@pytest.mark.parametrize("case", KINDS)
def test_each_kind_has_one_rule(case: str) -> None:
    kind, values, expected = KINDS[case]
    feature = Feature.model_validate({"name": "x", "side": "candidate", "missing": "allowed", **kind})
    frame = values.alias("x").to_frame()
    assert frame.select(is_missing(feature)).to_series().to_list() == expected
    kept = missing_as_null(frame, [feature])
    assert kept["x"].is_null().to_list() == expected
    assert kept.filter(~pl.Series(expected, dtype=pl.Boolean)).equals(
        frame.filter(~pl.Series(expected, dtype=pl.Boolean))
    )
    assert missing_as_null(frame, [feature.model_copy(update={"missing": "refused"})]).equals(frame)
