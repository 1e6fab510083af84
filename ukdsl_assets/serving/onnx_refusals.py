"""Why a value is refused, in words: row, column, what was seen, what is expected, and the fix."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from ukdsl_assets.errors import ScoringError
from ukdsl_assets.serving.onnx_metadata import Input

_SMALLEST, _LARGEST = -(2**63), 2**63 - 1
_LARGEST_FLOAT = float(np.finfo(np.float32).max)


class _Wrong(NamedTuple):
    """Why a value is refused; see `refusal`."""

    seen: str
    fix: str


def refusal(values: Sequence[Any], feature: Input, where: str) -> ScoringError:
    """Of a column that is refused: the first value that is wrong, in words."""
    for number, value in enumerate(values, 1):
        if (wrong := _wrong(value, feature)) is not None:
            place = where if where == "request" else f"{where} {number}"
            null = ", or null where it is missing" if feature.missing == "allowed" else ""
            return ScoringError(
                f"{place}: column `{feature.name}`: saw {wrong.seen}, expected {feature.expected}{null}; {wrong.fix}"
            )
    raise AssertionError(f"column {feature.name} was refused, and none of its values is wrong")


def _wrong(value: Any, feature: Input) -> _Wrong | None:
    if value is None:
        if feature.missing == "allowed":
            return None
        return _Wrong("null", "send a value, or declare the feature with `missing: allowed` and train it on such logs")
    if feature.kind not in ("vector", "multi_valued"):
        return _wrong_one(value, feature)
    if type(value) not in (list, tuple):
        return _Wrong(f"{value!r:.60}", "send a list")
    if feature.kind == "vector" and len(value) != feature.width:
        return _Wrong(f"{len(value)} value(s)", "send as many as the feature's declared `width`")
    if feature.kind == "multi_valued" and len(value) > (feature.most_values or 0):
        return _Wrong(f"{len(value)} values", "send fewer: no log may have a longer list (`most_values`)")
    inside = (_Wrong("null in a list", "leave it out") if each is None else _wrong_one(each, feature) for each in value)
    return next((wrong for wrong in inside if wrong is not None), None)


def _wrong_one(value: Any, feature: Input) -> _Wrong | None:
    seen = f"{value!r:.60}"
    if feature.dtype == "string":
        if type(value) is not str:
            return _Wrong(seen, "send a text; ids keep the type that the logs have them in")
        if any("\ud800" <= letter <= "\udfff" for letter in value):
            return _Wrong(seen, "send text that UTF-8 can hold, without half of a surrogate pair")
        return _marked(value, feature)
    if feature.dtype == "int64":
        if type(value) is not int:
            return _Wrong(seen, "send a whole number without a point (3, not 3.0), not true or false")
        if not _SMALLEST <= value <= _LARGEST:
            return _Wrong(seen, "send ids from -2^63 to 2^63 - 1 (64-bit hashes as signed integers)")
        return _marked(value, feature)
    if type(value) not in (int, float):
        return _Wrong(seen, "send a number, not a text and not true or false")
    if isinstance(value, float) and not math.isfinite(value):
        return _Wrong(seen, "send a finite number")
    if type(value) is int and (abs(value) > _LARGEST_FLOAT or int(np.float32(value)) != value):
        return _Wrong(
            seen, "a whole number that 32 bits cannot hold exactly: send it with a point if it may be rounded"
        )
    return _Wrong(seen, "send a number within 32-bit floats, up to 3.4e38") if abs(value) > _LARGEST_FLOAT else None


def _marked(value: int | str, feature: Input) -> _Wrong | None:
    if feature.hash_buckets is not None or value not in (feature.missing_value, feature.padding):
        return None
    return _Wrong(
        f"{value!r}", "this file keeps that value for what is missing or ends a list; send null or leave it out"
    )
