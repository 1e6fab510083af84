"""Ids to embedding rows, numbers to standard scores, whole requests."""

import json
from collections.abc import Sequence
from datetime import date

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.fixtures.rows import CASCADE, STUDENT, training_rows
from ukdsl_assets.declaration.parts import Feature
from ukdsl_assets.errors import TrainingError
from ukdsl_assets.lake.checkpoints.arrays import put_back, taken_out
from ukdsl_assets.learning.features.encoding import Encoder, grow, request_count
from ukdsl_assets.learning.features.numbers import CUT

AD = Feature(name="ad", kind="categorical", side="candidate")
WORD = Feature(name="word", kind="categorical", side="request", values="string")
SIZE = Feature(name="size", kind="numeric", side="candidate")


def frame(ads: Sequence[int | None], words: Sequence[str | None], sizes: Sequence[float]) -> pl.DataFrame:
    columns = {"ad": ads, "word": words, "size": sizes}
    schema = {"ad": pl.Int64, "word": pl.String, "size": pl.Float32}
    return pl.DataFrame(columns, schema=schema).with_row_index("request_id")


@given(st.lists(st.lists(st.integers(-(2**62), 2**62), min_size=1, max_size=20), min_size=1, max_size=4))
def test_ids_keep_their_row_from_day_to_day_and_rows_are_never_shared(days: list[list[int]]) -> None:
    encoder = Encoder((AD,))
    seen: dict[int, int] = {}
    for ads in days:
        table = frame(ads, ["a"] * len(ads), [0.0] * len(ads))
        encoder = encoder.extended(table)
        rows = encoder.encode(table).candidate.ids[:, 0].tolist()
        for ad, row in zip(ads, rows, strict=True):
            assert seen.setdefault(ad, row) == row
    assert len(set(seen.values())) == len(seen)
    assert 0 not in seen.values()
    assert encoder.size == len(seen) + 1


@pytest.mark.parametrize(
    "known",
    [[0, 1, 5], [3, 900], [-4, 2], [7, 5000], [2, 2**62], [1_000_000, 1_000_007], [2**63 - 3, 2**63 - 1]],
)
def test_ids_are_looked_up_one_by_one_whether_close_together_or_not(known: list[int]) -> None:
    encoder = Encoder((AD,)).extended(frame(known, ["a"] * len(known), [0.0] * len(known)))
    asked = [*known, -1, -(2**63), 4, 6, 1030, 999_999, 1_000_008, 2**63 - 1, None]
    rows = encoder.encode(frame(asked, ["a"] * len(asked), [0.0] * len(asked))).candidate.ids[:, 0]
    assert rows.tolist() == [known.index(ad) + 1 if ad in known else 0 for ad in asked]


@pytest.mark.parametrize("apart", [1, 2**40])
def test_new_ids_are_told_from_known_ones_whether_close_together_or_not(apart: int) -> None:
    first, then = [4, 2, 4, None], [3, 2, None, 9, 3]

    def table(ads: Sequence[int | None]) -> pl.DataFrame:
        ids = [None if ad is None else ad * apart for ad in ads]
        return frame(ids, [None if ad is None else str(ad) for ad in ads], [0.0] * len(ads))

    vocabularies = Encoder((AD, WORD)).extended(table(first)).extended(table(then)).vocabularies
    # Two unknown rows, then those of 2 and 4, of "2" and "4", and of what the second table has besides.
    ids, rows = vocabularies["ad"]
    assert (ids.to_list(), rows.tolist()) == ([2 * apart, 3 * apart, 4 * apart, 9 * apart], [2, 6, 3, 7])
    words, rows = vocabularies["word"]
    assert (words.to_list(), rows.tolist()) == (["2", "3", "4", "9"], [4, 8, 5, 9])


@pytest.mark.parametrize("requests", [[5, 5, 3, 3, 8], ["b", "b", "a", "a", "c"], [None, None, 1, 1, 2]])
def test_requests_are_counted_by_their_runs_of_rows_and_days(requests: list[int | str | None]) -> None:
    rows = pl.DataFrame({"request_id": requests})
    assert request_count(rows) == 3
    assert request_count(rows.with_columns(day=date(2026, 1, 1))) == 3
    days = [date(2026, 1, day) for day in (1, 1, 1, 2, 2)]
    assert request_count(rows.with_columns(day=pl.Series(days))) == 4
    assert request_count(rows.clear()) == 0
    assert Encoder((AD,)).extended(ads := rows.with_columns(ad=1)).encode(ads).offsets.tolist() == [0, 2, 4, 5]


def test_unknown_and_null_ids_take_the_features_own_unknown_row() -> None:
    encoder = Encoder((AD, WORD)).extended(frame([1, 2], ["a", "b"], [0, 0]))
    rows = encoder.encode(frame([3, None], ["z", None], [0, 0]))
    assert rows.candidate.ids[:, 0].tolist() == [0, 0]
    assert rows.request.ids[:, 0].tolist() == [1, 1]


def test_an_encoder_without_ids_encodes_all_as_unknown() -> None:
    encoder = Encoder((AD,)).extended(frame([None], [None], [0.0]))
    assert encoder.encode(frame([5], ["a"], [0.0])).candidate.ids.tolist() == [[0]]


def test_numbers_are_standardised_by_the_first_day_and_cut() -> None:
    first = frame([1, 1, 1, 1], ["a"] * 4, [1, 1, 3, 3])
    encoder = Encoder((SIZE,)).extended(first).extended(frame([1], ["a"], [1000]))
    assert encoder.encode(first).candidate.numbers[:, 0].tolist() == [-1, -1, 1, 1]
    assert encoder.encode(frame([1], ["a"], [1000])).candidate.numbers[0, 0] == CUT


def test_a_constant_number_becomes_zero() -> None:
    table = frame([1, 1], ["a", "a"], [7, 7])
    assert Encoder((SIZE,)).extended(table).encode(table).candidate.numbers.tolist() == [[0], [0]]


def test_request_features_are_kept_once_a_request() -> None:
    rows = training_rows(requests=5, considered=4)
    encoded = Encoder(CASCADE.features_of(STUDENT)).extended(rows).encode(rows)
    assert len(encoded.request.ids) == 5
    assert encoded.offsets.tolist() == [0, 7, 14, 21, 28, 35]
    assert encoded.request.numbers.shape == (5, 4)


def test_a_request_id_that_comes_again_on_another_day_is_another_request() -> None:
    rows = frame([1, 2, 3], ["a"] * 3, [0, 0, 0]).with_columns(request_id=pl.Series([1, 1, 1]))
    rows = rows.with_columns(day=pl.Series([date(2026, 1, 1), date(2026, 1, 1), date(2026, 1, 2)]))
    assert Encoder((AD,)).extended(rows).encode(rows).offsets.tolist() == [0, 2, 3]


def test_scattered_requests_are_refused() -> None:
    rows = frame([1, 2, 3], ["a"] * 3, [0, 0, 0]).with_columns(request_id=pl.Series([1, 2, 1]))
    with pytest.raises(TrainingError, match="sort by request_id"):
        Encoder((AD,)).extended(rows).encode(rows)


@pytest.mark.parametrize("of_old", [False, True], ids=["columns", "lists"])
def test_json_round_trip_encodes_the_same(of_old: bool) -> None:
    rows = training_rows(requests=20)
    encoder = Encoder(CASCADE.features_of(STUDENT)).extended(rows)
    values, arrays = taken_out(encoder.as_json())
    content = put_back(json.loads(json.dumps(values)), arrays)
    if of_old:
        # Checkpoints of before held vocabularies as lists in their JSON.
        content = json.loads(json.dumps(content, default=lambda column: column.to_list()))
    again = Encoder.from_json(content).encode(rows)
    first = encoder.encode(rows)
    for side in ("request", "candidate"):
        assert np.array_equal(getattr(again, side).ids, getattr(first, side).ids)
        assert np.array_equal(getattr(again, side).numbers, getattr(first, side).numbers)


def test_grown_tables_keep_their_rows() -> None:
    table = grow(np.empty((0, 4), np.float32), 10, seed=1)
    assert np.array_equal(grow(table, 15, seed=1)[:10], table)
    assert grow(table, 10, seed=1).shape == (10, 4)


@given(st.lists(st.tuples(st.integers(0, 2), st.sampled_from("abc")), max_size=12))
def test_requests_are_counted_as_their_days_and_ids_are_distinct(keys: list[tuple[int, str]]) -> None:
    frame = pl.DataFrame(keys, schema={"day": pl.Int64, "request_id": pl.String}, orient="row")
    assert request_count(frame) == len(set(keys))
    assert request_count(frame.select("request_id")) == len({request for _, request in keys})
