"""Which columns are features, of which kind and side, and which tell what nobody can know before a row is shown."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import polars as pl

from ukdsl_assets.declaration.parts import Feature
from ukdsl_assets.onboarding.columns import Column, Guess, as_flags, col, sound_name
from ukdsl_assets.onboarding.keys import NEARLY_ALL, Keys
from ukdsl_assets.onboarding.moments import moment_of
from ukdsl_assets.onboarding.stages import Stages

_OF_PLACES = ("position", "pos", "slot", "rank", "place", "index", "row")
_OF_CODES = (
    "id",
    "code",
    "type",
    "group",
    "band",
    "bucket",
    "segment",
    "category",
    "cat",
    "class",
    "kind",
    "hour",
    "weekday",
    "day",
    "zone",
    "region",
    "level",
    "version",
    "flag",
    "is",
    "has",
    "format",
    "geo",
    "country",
)
# Whole numbers of so few values are taken for codes, whatever they are called.
_FEW = 50
_NO_LEAK = 100


@dataclass(frozen=True)
class MappedFeature:
    """A declared feature, the column that it comes from, and its expression in a script."""

    feature: Feature
    column: str
    expression: str


@dataclass(frozen=True)
class Features:
    """Features in the order of the file; what is left out, and why."""

    features: tuple[MappedFeature, ...]
    guesses: tuple[Guess, ...]
    left_out: Mapping[str, str]


def guess_features(
    columns: Mapping[str, Column], keys: Keys, stages: Stages, shown: pl.Series, used: set[str]
) -> Features:
    """What is left of the columns as features.

    Args:
        shown: Boolean, one a row: what only shown rows have, or what tells them apart, is no feature.
        used: columns that are something else.
    """
    requests = columns[keys.request].values
    reached = {stage.name: columns[stage.column].present for stage in stages.stages}
    features: list[MappedFeature] = []
    guesses: list[Guess] = []
    left_out: dict[str, str] = {}
    for column in columns.values():
        if column.name in used and column.name != keys.candidate:
            continue
        reason = _no_feature(column, keys, shown)
        if reason is not None:
            if column.name != keys.candidate:
                left_out[column.name] = reason
            continue
        name = sound_name(column.name, [each.feature.name for each in features])
        told = dict(_kind(column)) | dict(_absent(column, shown, reached))
        if not told.get("kind"):
            left_out[column.name] = str(told["why"])
            continue
        side = "request" if _one_a_request(column, requests) and "served_as" not in told else "candidate"
        feature = Feature.model_validate({"name": name, "side": side} | told)
        features.append(MappedFeature(feature, column.name, _expression(column, feature)))
        guesses += _doubts(column, feature)
    return Features(tuple(features), tuple(guesses), left_out)


def _no_feature(column: Column, keys: Keys, shown: pl.Series) -> str | None:
    """Why a column can be no feature."""
    rows = len(column.values)
    if moment_of(column) is not None or column.dtype.is_temporal():
        return "a time; write its hour or age if it matters"
    if column.dtype in (pl.Struct, pl.Binary, pl.Object, pl.Null):
        return f"of type {str(column.dtype).split('(')[0]}"
    if column.distinct == 0 or not column.present.any():
        return "without a value"
    if column.distinct == 1 and column.full:
        return "one value on all rows"
    if column.is_text and column.distinct > 0.5 * rows:
        return "nearly each row has a value of its own"
    if column.name == keys.candidate and column.distinct > 0.5 * rows:
        return "no candidate comes twice"
    if column.dtype.is_integer() and "id" in column.words and column.distinct > 0.9 * rows:
        return "an id of the row"
    if column.full and column.distinct <= _NO_LEAK and column.distinct > 0 and shown.any() and not shown.all():
        values = column.values.cast(pl.String) if column.is_text else column.values
        if not set(values.filter(shown).unique()) & set(values.filter(~shown).unique()):
            return "tells what was shown, which nobody knows before"
    if column.present.any() and not column.present.filter(~shown).any():
        is_place = column.dtype.is_integer() and column.has_word(*_OF_PLACES)
        if not (is_place and bool(column.present.filter(shown).all())):
            return "known of shown rows alone"
    return None


def _kind(column: Column) -> Iterator[tuple[str, object]]:
    """`kind`, and `values` or `width` with it; `why` and no kind where it cannot be declared."""
    dtype = column.dtype
    if isinstance(dtype, pl.List | pl.Array):
        yield from _list_kind(column)
    elif as_flags(column) is not None and (dtype == pl.Boolean or dtype.is_integer()):
        yield "kind", "categorical"
    elif column.is_text or (dtype == pl.UInt64 and (column.high or 0) >= 2**63):
        # Codes of 64 bits without a sign, such as hashes, are no integers of a log, which have one.
        yield from (("kind", "categorical"), ("values", "string"))
    elif dtype.is_integer() and (column.distinct <= _FEW or column.has_word(*_OF_CODES)):
        yield "kind", "categorical"
    elif column.is_whole and column.has_word(*_OF_CODES):
        # Codes that pandas made floats of, since some are missing.
        yield "kind", "categorical"
    elif dtype.is_numeric():
        yield "kind", "numeric"
    else:
        yield "why", f"of type {dtype}"


def _list_kind(column: Column) -> Iterator[tuple[str, object]]:
    inner = column.dtype.inner  # type: ignore[attr-defined]
    lists = column.values.drop_nulls()
    lengths = (lists.arr.to_list() if isinstance(column.dtype, pl.Array) else lists).list.len()
    most = max(lengths, default=0)
    if inner.is_float():
        if lengths.n_unique() == 1 and most > 0:
            yield from (("kind", "vector"), ("width", most))
        else:
            yield "why", "lists of fractions of several lengths"
    elif inner.is_integer() or inner in (pl.String, pl.Categorical):
        yield from (("kind", "multi_valued"), ("values", "integer" if inner.is_integer() else "string"))
        if most > 64:
            yield "most_values", 2 * most
    else:
        yield "why", f"lists of {inner}"


def _absent(column: Column, shown: pl.Series, reached: Mapping[str, pl.Series]) -> Iterator[tuple[str, object]]:
    """What missing values mean: a stage that was not reached, a place that only shown rows have, or nothing."""
    if column.full:
        return
    if bool((column.present == shown).all()) and column.dtype.is_integer():
        yield from (("kind", "categorical"), ("served_as", int(column.low or 0)))
        return
    for stage, rows in list(reached.items())[1:]:
        if bool((column.present <= rows).all()) and float(column.present.filter(rows).mean() or 0) >= NEARLY_ALL:  # type: ignore[arg-type]
            yield "known_from", stage
            if not bool(column.present.filter(rows).all()):
                yield "missing", "allowed"
            return
    yield "missing", "allowed"


def _one_a_request(column: Column, requests: pl.Series) -> bool:
    if column.dtype.is_nested():
        return False if column.distinct == 0 else _nested_one_a_request(column, requests)
    frame = pl.DataFrame({"request": requests, "value": column.values})
    return bool(frame.group_by("request").agg(pl.col("value").n_unique() == 1)["value"].all())


def _nested_one_a_request(column: Column, requests: pl.Series) -> bool:
    values = column.values.arr.to_list() if isinstance(column.dtype, pl.Array) else column.values
    frame = pl.DataFrame({"request": requests, "value": values.hash()})
    return bool(frame.group_by("request").agg(pl.col("value").n_unique() == 1)["value"].all())


def _expression(column: Column, feature: Feature) -> str:
    value = col(column.name)
    if feature.kind == "categorical":
        if feature.values == "string":
            return value if column.dtype == pl.String else f"{value}.cast(pl.String)"
        value += ".fill_nan(None)" if column.dtype.is_float() else ""
        return f"{value}.cast(pl.Int64)"
    if feature.kind == "numeric":
        return f"{value}.cast(pl.Float32)"
    if feature.kind == "vector":
        return f"{value}.cast(pl.Array(pl.Float32, {feature.width}))"
    return f"{value}.cast(pl.List({'pl.Int64' if feature.values == 'integer' else 'pl.String'}))"


def _doubts(column: Column, feature: Feature) -> Iterator[Guess]:
    what = f"feature {feature.name}"
    if feature.served_as is not None:
        yield Guess(what, column.name, 0.6, f"only shown rows have it; scored as {feature.served_as}")
    elif feature.may_be_missing:
        share = 1 - float(column.present.mean() or 0)  # type: ignore[arg-type]
        yield Guess(what, column.name, 0.85, f"missing in {share:.1%} of the rows, which is allowed")
    elif column.dtype.is_integer() and feature.kind == "numeric":
        yield Guess(what, column.name, 0.7, "whole numbers, taken for an amount, not for codes")
    elif column.dtype.is_integer() and not column.has_word(*_OF_CODES) and as_flags(column) is None:
        if column.distinct > 12:
            yield Guess(what, column.name, 0.7, f"{column.distinct} whole numbers, taken for codes, not for an amount")
    elif column.has_word("ctr", "rate", "hist") and feature.side == "candidate":
        yield Guess(what, column.name, 0.7, "known before the request? else it tells the outcome")
