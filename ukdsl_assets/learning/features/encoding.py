"""From declared features to arrays: one table of embedding rows for all ids, standardised numbers, whole requests."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ukdsl_assets.declaration.parts import Feature
from ukdsl_assets.errors import TrainingError
from ukdsl_assets.frames.served_as import filled
from ukdsl_assets.frames.splits import SHARD_KEY, shard_of
from ukdsl_assets.learning.features.numbers import Scale, scale_of, standardised

# Name of the table of embedding rows among a checkpoint's tensors.
EMBEDDING = "embedding.weight"
# Of each feature of ids its columns of ids, and whether they are averaged or summed. A categorical feature has one
# column, a multi-valued one as many as its longest list: -1 where a list is shorter.
ListsOfIds = tuple[tuple[int, bool], ...]


@dataclass(frozen=True)
class EncodedSide:
    """Inputs of one tower.

    ids: int32 [n, id columns], rows of the embedding table. A categorical feature takes one column, a multi-valued one
        as many as its longest list, in ascending order behind -1 where a list is shorter.
    numbers: float32 [n, numeric columns], standardised; vectors take `width` columns.
    lists: of each feature of ids its columns, and whether they are averaged or summed; None where each takes one.
    """

    ids: NDArray[np.int32]
    numbers: NDArray[np.float32]
    lists: ListsOfIds | None = None


@dataclass(frozen=True)
class EncodedRows:
    """Rows in the order of their frame, with the request's features kept once a request.

    request: EncodedSide [requests]; candidate: EncodedSide [rows].
    offsets: int64 [requests + 1]; rows offsets[i] to offsets[i + 1] belong to request i.
    """

    request: EncodedSide
    candidate: EncodedSide
    offsets: NDArray[np.int64]


@dataclass(frozen=True)
class Encoder:
    """Which embedding row each id has, and how numbers are standardised.

    Row i of the table, for i below the number of features of ids, stands for ids of feature i never trained on, null
    among them. Then come the buckets of hashed features, and a row for each feature of ids that may be missing. Ids of
    the others get the following rows in order of arrival and keep them for good, so that checkpoints can be
    warm-started.

    vocabularies: feature -> (ids, their rows), the ids sorted.
    scales: numeric or vector feature -> (mean, standard deviation) per column, from the first training in which the
        column varied; while the deviation is 0 the column is 0. The last column of a feature that may be missing, the
        only one of ids, says whether it is: it has deviation 1 once a training has seen one missing.
    """

    features: tuple[Feature, ...]
    vocabularies: Mapping[str, tuple[pl.Series, NDArray[np.int32]]] = field(default_factory=dict)
    scales: Mapping[str, Scale] = field(default_factory=dict)

    @property
    def of_ids(self) -> tuple[Feature, ...]:
        """The categorical and multi-valued features."""
        return tuple(feature for feature in self.features if feature.of_ids)

    @property
    def size(self) -> int:
        """Rows of the embedding table."""
        fixed = len(self.of_ids) + self._buckets + sum(feature.may_be_missing for feature in self.of_ids)
        return fixed + sum(len(rows) for _, rows in self.vocabularies.values())

    @property
    def _buckets(self) -> int:
        return sum(feature.hash_buckets or 0 for feature in self.of_ids)

    def count(self, side: str) -> tuple[int, int]:
        """Features of ids and numeric columns of one side ("request" or "candidate")."""
        mine = [f for f in self.features if f.side == side]
        return sum(f.of_ids for f in mine), sum(f.number_columns for f in mine)

    def extended(self, frame: pl.DataFrame, least: int = 1) -> "Encoder":
        """An encoder that also knows the frame's ids; known ids keep their rows, a column's scale is set once.

        Args:
            frame: has a column for every feature; null ids are left to the unknown row.
            least: rows of the frame that an id must have to get a row of its own.
        """
        vocabularies = dict(self.vocabularies)
        next_row = self.size
        for feature in (feature for feature in self.of_ids if feature.hash_buckets is None):
            name = feature.name
            ids_of_frame = _ids(values_of(filled(frame[name], feature)), least)
            if name in vocabularies:
                ids, rows = vocabularies[name]
                new = _not_among(ids, ids_of_frame)
            else:
                ids, rows, new = ids_of_frame.clear(), np.empty(0, np.int32), ids_of_frame
            if len(new):
                added = np.arange(next_row, next_row + len(new), dtype=np.int32)
                next_row += len(new)
                order = pl.concat([ids, new]).arg_sort().to_numpy()
                vocabularies[name] = (pl.concat([ids, new]).gather(order), np.concatenate([rows, added])[order])
            elif name not in vocabularies:
                vocabularies[name] = (ids, rows)
        scaled = (f for f in self.features if f.may_be_missing or not f.of_ids)
        scales = {**self.scales, **{f.name: scale_of(frame, f, self.scales.get(f.name)) for f in scaled}}
        return Encoder(self.features, vocabularies, scales)

    def missing_row(self, feature: Feature) -> int:
        """The embedding row of a missing value of a feature of ids that may be missing."""
        before = self.of_ids[: self.of_ids.index(feature)]
        return len(self.of_ids) + self._buckets + sum(each.may_be_missing for each in before)

    def unknown_row(self, feature: Feature) -> int:
        """The embedding row of ids of a feature that it was never trained on."""
        return self.of_ids.index(feature)

    def first_bucket_row(self, feature: Feature) -> int:
        """The embedding row of bucket 0 of a hashed feature; the others follow."""
        before = self.of_ids[: self.of_ids.index(feature)]
        return len(self.of_ids) + sum(each.hash_buckets or 0 for each in before)

    def row_where_missing(self, feature: Feature) -> int:
        """The embedding row that a missing value takes, of a feature of ids that may be missing.

        Its own, or that of unknown ids until a training has seen one missing.
        """
        seen = self.scales[feature.name][1][-1] > 0
        return self.missing_row(feature) if seen else self.unknown_row(feature)

    def encode(self, frame: pl.DataFrame) -> EncodedRows:
        """Encode a frame whose rows of one request stand together (sorted by request_id).

        Raises:
            TrainingError: if a request's rows are scattered over the frame.
        """
        starts = _request_starts(frame)
        offsets = np.append(starts, len(frame)).astype(np.int64)
        requests = frame.select(SHARD_KEY, *(f.name for f in self.features if f.side == "request"))
        return EncodedRows(
            request=self._side("request", requests[starts]),
            candidate=self._side("candidate", frame),
            offsets=offsets,
        )

    def _side(self, side: str, frame: pl.DataFrame) -> EncodedSide:
        mine = [f for f in self.features if f.side == side]
        ids = [self._columns(frame[f.name], f) for f in mine if f.of_ids]
        numbers = [standardised(frame, f, self.scales[f.name]) for f in mine if not f.of_ids]
        any_list = any(f.kind == "multi_valued" for f in mine)
        means = (f.pooling == "mean" for f in mine if f.of_ids)
        return EncodedSide(
            ids=np.concatenate(ids, axis=1) if ids else np.empty((len(frame), 0), np.int32),
            numbers=np.concatenate(numbers, axis=1) if numbers else np.empty((len(frame), 0), np.float32),
            lists=tuple((each.shape[1], mean) for each, mean in zip(ids, means, strict=True)) if any_list else None,
        )

    def _columns(self, column: pl.Series, feature: Feature) -> NDArray[np.int32]:
        """Embedding rows of a feature, int32 [rows, columns]."""
        missing, missing_row = np.zeros(len(column), np.bool_), -1
        if feature.may_be_missing:
            missing_row = self.row_where_missing(feature)
            missing = column.is_null().to_numpy()
        if feature.kind == "categorical":
            rows = self._rows(filled(column, feature), feature)
            return (np.where(missing, np.int32(missing_row), rows) if missing.any() else rows).reshape(-1, 1)
        lengths = column.list.len().fill_null(0).to_numpy().astype(np.int64)
        padded = np.full((len(column), max(int(lengths.max(initial=0)), int(missing.any()))), -1, np.int32)
        place = np.arange(lengths.sum()) - np.repeat(lengths.cumsum() - lengths, lengths)
        padded[np.repeat(np.arange(len(column)), lengths), place] = self._rows(values_of(column), feature)
        padded[missing, :1] = missing_row
        # In one order, so that sums do not depend on that of the list.
        return np.sort(padded, axis=1)

    def _rows(self, column: pl.Series, feature: Feature) -> NDArray[np.int32]:
        """The embedding row of each id, int32."""
        unknown = self.unknown_row(feature)
        if feature.hash_buckets is not None:
            buckets = shard_of(column, feature.hash_buckets).to_numpy() + self.first_bucket_row(feature)
            return np.where(column.is_null().to_numpy(), unknown, buckets).astype(np.int32)
        ids, rows = self.vocabularies[feature.name]
        if not len(ids):
            return np.full(len(column), unknown, np.int32)
        if column.dtype == ids.dtype == pl.Int64 and _close_together(first := int(ids[0]), int(ids[-1]), len(ids)):
            # The last row is that of all that is outside, null among it; a seventh of the time that a join takes.
            of_id = np.full(int(ids[-1]) - first + 2, unknown, np.int32)
            of_id[ids.to_numpy() - first] = rows
            places = (column.fill_null(-1) if column.null_count() else column).to_numpy() - first
            return of_id[np.clip(places, -1, len(of_id) - 1, out=places)]
        embedding_rows = column.replace_strict(ids, pl.Series(rows), default=unknown, return_dtype=pl.Int32)
        return embedding_rows.to_numpy()

    def as_json(self) -> dict[str, Any]:
        """Everything that rebuilds it: JSON values and, of vocabularies, columns (see `lake.checkpoints.arrays`)."""
        return {
            "features": [feature.model_dump(mode="json") for feature in self.features],
            "vocabularies": {
                name: {"ids": ids, "rows": pl.Series(rows)} for name, (ids, rows) in self.vocabularies.items()
            },
            "scales": {name: [list(mean), list(deviation)] for name, (mean, deviation) in self.scales.items()},
        }

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> "Encoder":
        """The inverse of `as_json`; columns may be lists, as older checkpoints have them."""
        features = tuple(Feature.model_validate(item) for item in content["features"])
        dtypes = {f.name: pl.String if f.values == "string" else pl.Int64 for f in features}
        return cls(
            features=features,
            vocabularies={
                name: (pl.Series(item["ids"], dtype=dtypes[name]), np.asarray(item["rows"], np.int32))
                for name, item in content["vocabularies"].items()
            },
            scales={name: (mean, deviation) for name, (mean, deviation) in content["scales"].items()},
        )


def grow(table: NDArray[np.float32], size: int, seed: int, spread: float = 0.05) -> NDArray[np.float32]:
    """The embedding table [rows, width] with rows drawn from N(0, spread^2) appended up to `size` rows."""
    rng = np.random.default_rng((seed, len(table)))
    new = rng.normal(0, spread, (size - len(table), table.shape[1])).astype(np.float32)
    return np.concatenate([table, new])


def values_of(column: pl.Series) -> pl.Series:
    """The ids of a column, those of lists one after the other; an empty or null list has none."""
    return column.filter(column.list.len() > 0).explode() if column.dtype == pl.List else column


def _close_together(first: int, last: int, ids: int) -> bool:
    """Whether so many ids, from first to last, are 0 or larger, and an array has about four places an id for them."""
    return first >= 0 and last - first < 4 * ids + 1024


def _ids(column: pl.Series, least: int) -> pl.Series:
    """Distinct ids with at least `least` rows, sorted."""
    if least == 1:
        known = column.drop_nulls() if column.has_nulls() else column
        if len(known) and known.dtype == pl.Int64:
            values = known.to_numpy()
            first, last = int(values.min()), int(values.max())
            if _close_together(first, last, len(values)):
                # A mark in the place of each id: a sixth of the time that hashing takes.
                marked = np.zeros(last - first + 1, np.bool_)
                marked[values - first] = True
                return pl.Series(column.name, np.flatnonzero(marked) + first)
        return known.unique().sort()
    # Under a name of its own: a feature may be called `rows`.
    counts = column.alias("id").drop_nulls().value_counts(name="rows")
    return counts.filter(pl.col("rows") >= least)["id"].alias(column.name).sort()


def _not_among(known: pl.Series, ids: pl.Series) -> pl.Series:
    """Those of distinct ids that are not known, in their order."""
    if ids.dtype == known.dtype == pl.Int64:
        return ids.filter(pl.Series(np.isin(ids.to_numpy(), known.to_numpy(), assume_unique=True, invert=True)))
    return ids.filter(~ids.is_in(known.implode()))


def request_count(frame: pl.DataFrame) -> int:
    """How many requests a frame has; an id that comes again on another `day` is another request."""
    return _distinct(_first_rows(frame)[1]) if len(frame) else 0


def _distinct(requests: pl.DataFrame) -> int:
    """How many of them differ; ids of one day are counted in a twentieth of the time of ids with their days."""
    one_day = "day" not in requests.columns or requests["day"].n_unique() == 1
    return requests["request_id"].n_unique() if one_day else requests.n_unique()


def _first_rows(frame: pl.DataFrame) -> tuple[NDArray[np.int64], pl.DataFrame]:
    """Index of the first row of each run of rows of one request, and its request, in a frame that has rows.

    Runs are so much fewer than rows that distinct requests are best counted among them.
    """
    keys = frame[[name for name in ("day", SHARD_KEY) if name in frame.columns]]
    changes = np.ones(len(keys), np.bool_)
    changes[1:] = np.logical_or.reduce([_changes(column) for column in keys])
    starts = np.flatnonzero(changes)
    return starts, keys[starts]


def _changes(column: pl.Series) -> NDArray[np.bool_]:
    """Whether each value is another than the one before it, bool [rows - 1]; null is a value."""
    whole = column.dtype in (pl.Int64, pl.Date) and not column.has_nulls()
    values = (column if whole else column.rle_id()).to_numpy()
    return np.not_equal(values[1:], values[:-1])


def _request_starts(frame: pl.DataFrame) -> NDArray[np.int64]:
    """Index of the first row of each request."""
    if len(frame) == 0:
        return np.empty(0, np.int64)
    starts, requests = _first_rows(frame)
    if len(starts) != _distinct(requests):
        raise TrainingError(
            "request_id: rows of a request are scattered over the frame; expected them together; sort by request_id"
        )
    return starts
