"""A student ready to score: which columns it reads, what it refuses, and its predictions for a frame of candidates."""

from collections.abc import Iterable, Sequence

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ukdsl_assets.declaration.columns import KEYS
from ukdsl_assets.declaration.parts import Feature
from ukdsl_assets.errors import ScoringError, did_you_mean
from ukdsl_assets.frames.conform import conform, feature_dtype
from ukdsl_assets.frames.missing import missing_in
from ukdsl_assets.learning.features.encoding import values_of
from ukdsl_assets.learning.students.predict import predictor
from ukdsl_assets.learning.students.student import FittedStudent

# A network's last places depend on how many rows a matrix product has, so all doors score so many at once.
BATCH_ROWS = 65_536
# The column that scoring adds.
PREDICTION = "prediction"


class Scorer:
    """A student's network or trees, put together once, and the rules of what it scores.

    Attributes:
        features: those that are read; a feature with `served_as` is not, every candidate has that value.
        dtypes: their columns' types after conforming, by name.
    """

    def __init__(self, fitted: FittedStudent, threads: int = 1) -> None:
        self._fitted = fitted
        self._predict = predictor(fitted, threads)
        self.features = tuple(feature for feature in fitted.encoder.features if feature.served_as is None)
        self.dtypes = {feature.name: feature_dtype(feature) for feature in self.features}

    def checked_head(self, head: str | None, option: str) -> str:
        """The head to take, for None the one that serves; `option` is what a message calls it."""
        if head is not None and head not in self._fitted.heads:
            raise ScoringError(f"{option}: the checkpoint has {' and '.join(self._fitted.heads)}, saw {head!r}")
        return head or self._fitted.heads[-1]

    def check_columns(self, names: Sequence[str], where: str) -> None:
        """Raises ScoringError where one of the student's features has no column."""
        missing = [name for name in self.dtypes if name not in names]
        if missing:
            raise ScoringError(
                f"{where}: {len(missing)} feature(s) of the student are missing: {', '.join(missing)}; "
                f"saw {', '.join(sorted(names))}; write every feature that the student was trained on"
            )

    def conformed(self, frame: pl.DataFrame, where: str) -> pl.DataFrame:
        """The student's features in its types; ContractError names a column that has none of them."""
        return conform(frame, self.dtypes, where, trained=True)

    def prepared(self, frame: pl.DataFrame, where: str) -> pl.DataFrame:
        """All features, with a request_id of their own for each run of rows that share the request's features.

        Args:
            frame: whose columns have been checked; any number of rows, in any order.
        """
        conformed = self.conformed(frame, where)
        served = [
            pl.lit(each.served_as, feature_dtype(each)).alias(each.name)
            for each in self._fitted.encoder.features
            if each.served_as is not None
        ]
        of_request = [feature.name for feature in self.features if feature.side == "request"]
        changed = [pl.col(name).ne_missing(pl.col(name).shift(1)) for name in of_request]
        starts = conformed.select(
            pl.any_horizontal(*changed) if changed else pl.lit(False).repeat_by(pl.len()).explode()
        )
        return conformed.with_columns(*served, request_id=starts.to_series().fill_null(True).cast(pl.Int64).cum_sum())

    def lacks_values(self, prepared: pl.DataFrame) -> bool:
        """Whether a row has no value where it must have one; `refusal` tells which."""
        return any(_without_value(prepared, feature).any() for feature in self.features)

    def predictions(self, prepared: pl.DataFrame, head: str) -> NDArray[np.float32]:
        """Probabilities [rows] of a head, in the frame's order."""
        return self._predict(prepared)[head]

    def unknown_ids(self, prepared: pl.DataFrame) -> dict[str, NDArray[np.int64]]:
        """Of each feature of ids: how many the student was not trained on, and all that are there.

        Of lists each id counts; a hashed feature knows all.
        """
        counts, vocabularies = {}, self._fitted.encoder.vocabularies
        for name in (feature.name for feature in self._fitted.encoder.of_ids):
            ids = values_of(prepared[name]).drop_nulls()
            unknown = int((~ids.is_in(vocabularies[name][0].implode())).sum()) if name in vocabularies else 0
            counts[name] = np.array([unknown, len(ids)], np.int64)
        return counts

    def refusal(self, frames: Iterable[pl.DataFrame], where: str) -> ScoringError:
        """The refusal of rows that lack a value or hold one that is not finite, counted over all frames of a file."""
        read = {feature.name: feature for feature in self.features}
        counts, firsts, before = dict.fromkeys(read, 0), dict.fromkeys(read, 0), 0
        for frame in frames:
            conformed = self.conformed(frame, where)
            for name, feature in read.items():
                wrong = _without_value(conformed, feature)
                if wrong.any():
                    firsts[name] = firsts[name] if counts[name] else before + int(wrong.argmax()) + 1
                    counts[name] += int(wrong.sum())
            before += len(frame)
        columns = [
            f"`{name}` in {count:,} row(s), first in row {firsts[name]:,}" for name, count in counts.items() if count
        ]
        fixes = []
        if any(count and not read[name].may_be_missing for name, count in counts.items()):
            fixes.append(
                "fill them as the logs that the student was trained on do, or declare the features with "
                "`missing: allowed` and train it on such logs"
            )
        if broken := [name for name, count in counts.items() if count and read[name].may_be_missing]:
            fixes.append(f"{', '.join(broken)} may be missing: write null in place of what is not finite as a whole")
        return ScoringError(
            f"{where}, {before:,} rows: null, NaN or infinite: {'; '.join(columns)} (rows count from 1); expected a "
            f"value in every row; {'; '.join(fixes)}"
        )


def kept_columns(names: Sequence[str], keep: Sequence[str] | None, where: str, option: str) -> list[str]:
    """Those of the input's columns that stand beside its predictions: the asked ones, or what identifies a row.

    Raises:
        ScoringError: one is not there, or has the name of what is added; `option` is what the message calls it.
    """
    if keep is None:
        return [name for name in KEYS if name in names]
    if absent := [name for name in keep if name not in names]:
        near = did_you_mean(absent[0], names)
        raise ScoringError(f"{option}: {where} has no column {', '.join(absent)}; saw {', '.join(sorted(names))}{near}")
    if PREDICTION in keep:
        raise ScoringError(
            f"{option}: `{PREDICTION}` is the column that is written; rename the input's, or leave it out"
        )
    return list(dict.fromkeys(keep))


def with_prediction(frame: pl.DataFrame, kept: Sequence[str], prediction: NDArray[np.float32]) -> pl.DataFrame:
    """The columns that are kept, and beside them float32 `prediction`."""
    return pl.DataFrame([*(frame[name] for name in kept), pl.Series(PREDICTION, prediction, dtype=pl.Float32)])


def _without_value(frame: pl.DataFrame, feature: Feature) -> NDArray[np.bool_]:
    """Which rows [rows] are missing where none may be, or hold a null, a NaN or an infinity."""
    column = frame[feature.name]
    wrong = column.is_null().to_numpy().copy()
    if not feature.of_ids:
        finite = np.isfinite(column.drop_nulls().to_numpy())
        wrong[~wrong] = ~(finite.all(axis=1) if finite.ndim == 2 else finite)
    return wrong & ~missing_in(frame, feature) if feature.may_be_missing else wrong
