"""Judges a model's files by the header of its SQL file: keys are unique, every column keeps its type and rules."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import polars as pl

from ukdsl_assets.gates import GateResult, demand
from ukdsl_assets.sql.model import Column
from ukdsl_assets.sql.render import RenderedModel

# Name of each gate -> what it demands.
RULES = {
    "keys_unique": demand(
        "The declared keys identify a row.", "look for a join in the model's query that multiplies rows."
    ),
    "column_rules": demand(
        "Every column keeps the rules in the header of its SQL file.",
        "correct the query, what it reads, or the header, whichever is wrong.",
    ),
}
SHOWN_KEYS = 3
KEYS = "keys"
TYPES: dict[str, tuple[type[pl.DataType] | pl.DataType, ...]] = {
    "BIGINT": (pl.Int64,),
    "BIGINT[]": (pl.List(pl.Int64),),
    "BOOLEAN": (pl.Boolean,),
    "DOUBLE": (pl.Float64,),
    "FLOAT": (pl.Float32,),
    "FLOAT[]": (pl.List(pl.Float32),),
    "TIMESTAMP WITH TIME ZONE": (pl.Datetime("us", "UTC"),),
    "VARCHAR": (pl.String,),
    "VARCHAR[]": (pl.List(pl.String),),
}


@dataclass(frozen=True)
class RuleCounts:
    """How one file of a model keeps its header: what of `judge_counts` is counted file by file.

    Attributes:
        problems: what is wrong with its columns; then nothing is counted.
        rows: in the file.
        broken: rule, or `keys` -> rows that break it.
        examples: keys of the first such rows, for those that are broken.
        ends: the first and the last key; None without rows.
    """

    problems: list[str]
    rows: int = 0
    broken: dict[str, int] = field(default_factory=dict)
    examples: dict[str, list[tuple[Any, ...]]] = field(default_factory=dict)
    ends: tuple[Any, Any] | None = None


def judge_model(rendered: RenderedModel, files: Sequence[str], parameters: Mapping[str, Any]) -> list[GateResult]:
    """Gates `keys_unique` and `column_rules`, counted one file at a time.

    Args:
        files: Parquet files that together are one partition; rows of one key are in one file, or end it and begin the
            next.
        parameters: the bound values, for rules such as `one_of: $stages`.
    """
    return judge_counts(rendered, [count_rules(rendered, file, parameters) for file in files])


def count_rules(rendered: RenderedModel, file: str, parameters: Mapping[str, Any]) -> RuleCounts:
    """Count the rows of a file that break a rule; offending keys are looked up only where there are some."""
    rows = pl.scan_parquet(file, glob=False, hive_partitioning=False)
    schema = rows.collect_schema()
    if problems := _wrong_columns(rendered, schema):
        return RuleCounts(problems)
    rules = {
        f"{name}: {rule}": broken
        for name, column in rendered.columns.items()
        for rule, broken in _rules(name, column, schema[name], parameters)
    }
    keys = list(rendered.model.keys)
    # Models order each file's rows by their keys, so a repeated key stands beside its twin.
    repeated = pl.all_horizontal(pl.col(key).eq_missing(pl.col(key).shift(1)) for key in keys)
    rules[KEYS] = repeated & (pl.int_range(pl.len()) > 0)
    ends = [pl.struct(keys).first().alias("first key"), pl.struct(keys).last().alias("last key")]
    counts = [pl.len().alias("rows"), *(broken.sum().alias(rule) for rule, broken in rules.items())]
    # Read first and counted then: in one query of so many sums each file costs 2 ms more.
    names = dict.fromkeys(name for count in [*counts, *ends] for name in count.meta.root_names())
    read = rows.select(*names).collect()
    found = read.select(*counts, *ends).row(0, named=True)
    count, first, last = found.pop("rows"), found.pop("first key"), found.pop("last key")
    examples = {rule: _examples(rows, keys, rules[rule]) for rule, broken in found.items() if broken}
    return RuleCounts([], count, found, examples, (first, last) if count else None)


def judge_counts(rendered: RenderedModel, counted: Sequence[RuleCounts]) -> list[GateResult]:
    """Gates `keys_unique` and `column_rules` of a partition; counted: `count_rules` of its files, in their order."""
    where = rendered.model.name
    if problems := next((of_file.problems for of_file in counted if of_file.problems), None):
        message = f"{where}: {'; '.join(problems)}; correct the query or the header in {rendered.model.path.name}"
        return [GateResult(name, False, message) for name in RULES]
    rows = sum(of_file.rows for of_file in counted)
    broken = {rule: sum(of_file.broken[rule] for of_file in counted) for rule in counted[0].broken}
    ends = [of_file.ends for of_file in counted if of_file.ends is not None]
    across = [after[0] for before, after in pairwise(ends) if before[1] == after[0]]
    twins = broken.pop(KEYS) + len(across)
    failed = {rule: count for rule, count in broken.items() if count}

    def examples(rule: str) -> list[tuple[Any, ...]]:
        return [key for of_file in counted for key in of_file.examples.get(rule, [])][:SHOWN_KEYS]

    failures = "; ".join(f"{rule} broken by {count} rows, e.g. {examples(rule)}" for rule, count in failed.items())
    shown = examples(KEYS) or [tuple(key.values()) for key in across[:SHOWN_KEYS]]
    return [
        GateResult(
            "keys_unique",
            not twins,
            f"{where}: {twins} of {rows} rows repeat a key ({', '.join(rendered.model.keys)})"
            + (f", e.g. {shown}; expected one row a key; look for a join that multiplies" if twins else ""),
            seen={"rows": rows, "repeated": twins},
        ),
        GateResult(
            "column_rules",
            not failed,
            f"{where}: {failures}; correct the query or what it reads"
            if failed
            else f"{where}: {len(broken)} rules hold",
            seen={"rules": len(broken), **failed},
        ),
    ]


def _wrong_columns(rendered: RenderedModel, schema: pl.Schema) -> list[str]:
    declared = rendered.columns
    problems = [f"column `{name}` is declared but not there" for name in declared if name not in schema]
    problems += [f"column `{name}` is there but not declared" for name in schema if name not in declared]
    for name, column in declared.items():
        if name in schema and schema[name] not in TYPES[column.type]:
            problems.append(f"column `{name}` is {schema[name]}, declared as {column.type}")
    return problems


def _rules(name: str, column: Column, dtype: pl.DataType, parameters: Mapping[str, Any]) -> list[tuple[str, pl.Expr]]:
    """What the column promises, and an expression that is true where it does not hold."""
    value = pl.col(name)
    rules = []
    if column.not_null:
        rules.append(("not null", value.is_null()))
    if dtype.is_float():
        rules.append(("a finite number", ~value.is_finite()))
    if dtype == pl.List(pl.Float32):
        rules.append(("finite numbers", ~value.list.eval(pl.element().is_finite()).list.all()))
    if column.between is not None:
        lowest, highest = column.between
        if lowest is not None:
            rules.append((f"at least {lowest:g}", value < lowest))
        if highest is not None:
            rules.append((f"at most {highest:g}", value > highest))
    if column.one_of is not None:
        values = parameters[column.one_of[1:]] if isinstance(column.one_of, str) else column.one_of
        allowed = pl.Series(values).cast(dtype)
        rules.append((f"one of {', '.join(map(str, allowed))}", ~value.is_in(allowed.implode())))
    return rules


def _examples(rows: pl.LazyFrame, keys: list[str], broken: pl.Expr) -> list[tuple[Any, ...]]:
    return rows.filter(broken).select(keys).head(SHOWN_KEYS).collect().rows()
