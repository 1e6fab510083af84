"""What an exported file says of itself: which student it is, what it reads, and what training saw."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal

from ukdsl_assets.errors import ScoringError

# Raised by whatever an older reader of such files would misread.
FORMAT = "1"


@dataclass(frozen=True)
class Input:
    """A feature that a file reads; one with `served_as` is no input.

    Attributes:
        name: of the feature, and of the file's input.
        kind: categorical, multi_valued, numeric or vector; side: request or candidate.
        dtype: of a value as logged: `int64`, `string` or `float32`.
        missing: whether a value may be missing: `refused` or `allowed`.
        width: of a vector, else None.
        most_values: the longest list of a multi_valued feature, else None.
        hash_buckets: of a hashed feature of ids, else None. The file then reads buckets, by `bucket` of the metadata.
        missing_value: what stands for a missing value in the file's input; None where it is NaN, or none may be.
        padding: what fills lists of a multi_valued feature up to the longest of a batch, else None.
        mean, deviation: what training saw of a number or of each place of a vector, empty for ids; 0 for a deviation
            that training did not see.
    """

    name: str
    kind: Literal["categorical", "multi_valued", "numeric", "vector"]
    side: Literal["request", "candidate"]
    dtype: Literal["int64", "string", "float32"]
    missing: Literal["refused", "allowed"]
    width: int | None = None
    most_values: int | None = None
    hash_buckets: int | None = None
    missing_value: int | str | None = None
    padding: int | str | None = None
    mean: tuple[float, ...] = ()
    deviation: tuple[float, ...] = ()

    @property
    def of_ids(self) -> bool:
        """Whether its values are ids, and not numbers."""
        return self.dtype != "float32"

    @property
    def tensor(self) -> Literal["int64", "string", "float32"]:
        """Type of the file's input."""
        return "int64" if self.hash_buckets is not None else self.dtype

    @property
    def expected(self) -> str:
        """What a value is, for people."""
        one = {"int64": "an integer", "string": "a text", "float32": "a number"}[self.dtype]
        many = {"int64": "integers", "string": "texts", "float32": "numbers"}[self.dtype]
        if self.kind == "vector":
            return f"a list of {self.width} numbers"
        return f"a list of at most {self.most_values} {many}" if self.kind == "multi_valued" else one


@dataclass(frozen=True)
class FileMetadata:
    """Which student a file is, and what it reads.

    Attributes:
        cascade, student, arm: as declared; day: of the checkpoint, YYYY-MM-DD; version: of the checkpoint.
        heads: columns of the output `probabilities`; the last one serves.
        inputs: in the order of the declaration.
        unknown_ids: features that the output `unknown_ids` counts, in its order.
        served_as: features that are no inputs, and the value that all candidates are scored with.
        bucket: how the id of a hashed feature becomes its bucket; empty without hashed features.
        difference: the largest one to batch scoring that was seen before the file was written.
        package_version: of ukdsl-assets, which wrote it.
    """

    cascade: str
    student: str
    arm: str
    day: str
    version: str
    heads: tuple[str, ...]
    inputs: tuple[Input, ...]
    unknown_ids: tuple[str, ...]
    served_as: Mapping[str, int | str]
    bucket: str
    difference: float
    package_version: str

    def as_texts(self) -> dict[str, str]:
        """Names and texts for the file: texts as they are, all else as JSON."""
        content = asdict(self)
        texts = {name: value if isinstance(value, str) else json.dumps(value) for name, value in content.items()}
        return {"format": FORMAT, **texts}


def metadata_of(texts: Mapping[str, str], where: str) -> FileMetadata:
    """The inverse of `FileMetadata.as_texts`.

    Raises:
        ScoringError: the texts are none that `ukdsl export` wrote, or of another format.
    """
    if texts.get("format") != FORMAT:
        seen = f"format {texts['format']!r}" if "format" in texts else "metadata without a format"
        raise ScoringError(
            f"{where}: saw {seen}, expected {FORMAT!r}; write the file with this version's `ukdsl export`"
        )
    try:
        found: dict[str, Any] = {each.name: _parsed(texts[each.name], str(each.type)) for each in fields(FileMetadata)}
        inputs = tuple(_input(each) for each in found.pop("inputs"))
    except (KeyError, ValueError, TypeError, AttributeError) as error:
        raise ScoringError(f"{where}: its metadata cannot be read ({error!r}); export the student again") from error
    return FileMetadata(inputs=inputs, **found)


def _input(content: Mapping[str, Any]) -> Input:
    plain: dict[str, Any] = {n: tuple(value) if isinstance(value, list) else value for n, value in content.items()}
    return Input(**plain)


def _parsed(text: str, annotation: str) -> Any:
    if annotation == "str":
        return text
    value = json.loads(text)
    return tuple(value) if isinstance(value, list) else value
