"""What a sample of rows says of its columns, one by one: their words, values and missing values."""

import json
import keyword
import re
from collections.abc import Iterable
from dataclasses import dataclass

import polars as pl

from ukdsl_assets.declaration.block import NAME
from ukdsl_assets.declaration.columns import BETWEEN_PARTS, is_reserved

# A value that some logs write where a model gave no score.
SENTINEL = -1.0
_TRUE, _FALSE = ("true", "yes", "y", "t", "on", "1", "1.0"), ("false", "no", "n", "f", "off", "0", "0.0", "")
_OF_YAML = ("true", "false", "null", "yes", "no", "on", "off", "y", "n")
# Above it a float no longer tells one whole number from the next.
_MOST_WHOLE = 2.0**53
# l1 and l2 are stages.
_WORD = re.compile(r"[lL]\d(?![a-zA-Z0-9])|[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")
# Guesses below it are marked `# CHECK`.
SURE = 0.8


@dataclass(frozen=True)
class Guess:
    """One guess: what a column (None: no column) is taken for, how sure that is, from 0 to 1, and why."""

    what: str
    column: str | None
    confidence: float
    reason: str

    @property
    def sure(self) -> bool:
        """Whether a person need not look at it."""
        return self.confidence >= SURE


@dataclass(frozen=True)
class Column:
    """A column of the sample.

    Attributes:
        words: of its name, in lower case: `isClicked` and `is_clicked` are is, clicked.
        present: Boolean, one value a row: neither null nor NaN nor, in a column of else probabilities, SENTINEL.
        distinct: of the values that are present; -1 of lists and structs.
        low, high: of the numbers that are present; None for others and where there are none.
    """

    name: str
    values: pl.Series
    words: tuple[str, ...]
    present: pl.Series
    distinct: int
    low: float | None
    high: float | None
    sentinel: bool = False

    @property
    def dtype(self) -> pl.DataType:
        """Its type in the file."""
        return self.values.dtype

    @property
    def full(self) -> bool:
        """Whether each row has a value."""
        return bool(self.present.all())

    @property
    def may_be_key(self) -> bool:
        """Whether it can be an id: whole numbers or texts, hardly ever missing, of more than one value."""
        kinds = self.dtype.is_integer() or isinstance(self.dtype, pl.String | pl.Categorical | pl.Enum)
        return kinds and self.distinct > 1 and float(self.present.mean() or 0) > 0.99  # type: ignore[arg-type]

    @property
    def is_whole(self) -> bool:
        """Whether its values are fractions without a fraction, as pandas has whole numbers beside missing ones."""
        if not self.dtype.is_float() or self.low is None or self.high is None:
            return False
        known = self.values.filter(self.present)
        return max(-self.low, self.high) < _MOST_WHOLE and bool((known == known.floor()).all())

    @property
    def ids(self) -> pl.Series:
        """Its values as texts, one a row, by which rows of two files are brought together; null for none."""
        whole = self.values.fill_nan(None).cast(pl.Int64) if self.is_whole else self.values
        return whole.cast(pl.String)

    @property
    def is_text(self) -> bool:
        """Whether its values are texts."""
        return isinstance(self.dtype, pl.String | pl.Categorical | pl.Enum)

    @property
    def is_probability(self) -> bool:
        """Whether its values are numbers in [0, 1], and more than a few of them."""
        fraction = self.dtype.is_float() or isinstance(self.dtype, pl.Decimal)
        inside = self.low is not None and self.high is not None and self.low >= 0 and self.high <= 1
        return fraction and inside and self.distinct > 10

    def has_word(self, *words: str) -> bool:
        """Whether its name has one of the words, alone or at the start of one of its own."""
        return any(
            word in self.words or (len(word) > 3 and any(w.startswith(word) for w in self.words)) for word in words
        )


def words_of(name: str) -> tuple[str, ...]:
    """The words of a name in lower case, of snake_case, camelCase and others; numbers are words."""
    return tuple(word.lower() for word in _WORD.findall(name))


def looked_at(frame: pl.DataFrame) -> dict[str, Column]:
    """The columns of a sample by name; an empty frame gives columns without values."""
    return {series.name: _looked_at(series) for series in frame}


def as_flags(column: Column) -> pl.Series | None:
    """Boolean, one a row, null as false, of a column of two values that say yes or no; None for any other."""
    if column.dtype == pl.Boolean:
        return column.values.fill_null(False)
    if column.dtype.is_numeric() and column.distinct == 2 and (column.low, column.high) == (0, 1):
        return (column.values == 1).fill_null(False)
    if column.is_text and 1 <= column.distinct <= 2:
        texts = column.values.cast(pl.String).str.strip_chars().str.to_lowercase()
        if texts.drop_nulls().is_in([*_TRUE, *_FALSE]).all():
            return texts.is_in(list(_TRUE)).fill_null(False)
    return None


def flags_expression(column: Column, null_is_false: bool = True) -> str:
    """The same as an expression of polars, as a script has it; null stays null where it is not false."""
    value = col(column.name)
    known = ".fill_null(False)" if null_is_false else ""
    if column.dtype == pl.Boolean:
        return f"{value}{known}"
    if column.dtype.is_numeric():
        return f"({value} == 1){known}"
    value += "" if column.dtype == pl.String else ".cast(pl.String)"
    return f"{value}.str.strip_chars().str.to_lowercase().is_in({json.dumps(list(_TRUE))}){known}"


def col(name: str) -> str:
    """A column as an expression of polars in a script, whatever its name holds."""
    return f"pl.col({json.dumps(name, ensure_ascii=False)})"


def names_told(columns: Iterable[Column]) -> str:
    """The columns' names for a message, and what to do about those that hold others."""
    return ", ".join(f"{column.name}{_nested(column.dtype)}" for column in columns)


def may_be_called(name: str) -> bool:
    """Whether a declaration may have this name for a cascade or a stage: YAML takes some words for other things."""
    return bool(re.fullmatch(NAME, name)) and BETWEEN_PARTS not in name and name not in _OF_YAML


def sound_name(name: str, taken: Iterable[str]) -> str:
    """A name that a declaration may have for a feature, near to that of its column and not among those taken."""
    words = re.sub(r"_+", "_", re.sub(r"[^a-z0-9]+", "_", re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower())).strip("_")
    words = words[:40].rstrip("_")
    words = words if re.match(NAME, words) else f"column_{words}".rstrip("_")
    # A script names its columns as Python names arguments, and YAML has words of its own.
    reserved = is_reserved(words) or keyword.iskeyword(words) or words in _OF_YAML
    words = f"{words}_feature" if reserved else words
    found, number = words, 2
    while found in {*taken}:
        found, number = f"{words}_{number}", number + 1
    return found


def _nested(dtype: pl.DataType) -> str:
    if isinstance(dtype, pl.Struct):
        fields = ", ".join(field.name for field in dtype.fields)
        return f" (holds {fields}: write each as a column of its own)"
    if isinstance(dtype, pl.List) and isinstance(dtype.inner, pl.Struct):
        fields = ", ".join(field.name for field in dtype.inner.fields)
        return f" (a list of {fields}: write a row for each entry)"
    return ""


def _looked_at(series: pl.Series) -> Column:
    dtype, present, sentinel = series.dtype, series.is_not_null(), False
    if dtype.is_nested() or dtype in (pl.Binary, pl.Object):
        return Column(series.name, series, words_of(series.name), present, -1, None, None)
    if dtype.is_float():
        present &= series.is_not_nan().fill_null(False)
    known = series.filter(present)
    if dtype.is_float() and len(known) and known.min() == SENTINEL:
        others = known.filter(known != SENTINEL)
        if len(others) and others.min() >= 0 and others.max() <= 1:  # type: ignore[operator]
            present, known, sentinel = present & (series != SENTINEL).fill_null(False), others, True
    low, high = (known.min(), known.max()) if dtype.is_numeric() and len(known) else (None, None)
    return Column(
        series.name,
        series,
        words_of(series.name),
        present,
        known.n_unique() if len(known) else 0,
        None if low is None else float(low),  # type: ignore[arg-type]
        None if high is None else float(high),  # type: ignore[arg-type]
        sentinel,
    )
