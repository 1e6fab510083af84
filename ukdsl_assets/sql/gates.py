"""Judges a model's files by the header of its SQL file: keys are unique, every column keeps its type and rules."""

from collections.abc import Mapping, Sequence
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


def judge_model(rendered: RenderedModel, files: Sequence[str], parameters: Mapping[str, Any]) -> list[GateResult]:
    """Gates `keys_unique` and `column_rules`, counted one file at a time; offending keys are looked up only on failure.

    Args:
        files: Parquet files that together are one partition; rows of one key are in one file, or end it and begin the
            next.
        parameters: the bound values, for rules such as `one_of: $stages`.
    """
    rows = pl.scan_parquet(list(files), glob=False, hive_partitioning=False)
    schema = rows.collect_schema()
    where = rendered.model.name
    if problems := _wrong_columns(rendered, schema):
        message = f"{where}: {'; '.join(problems)}; correct the query or the header in {rendered.model.path.name}"
        return [GateResult(name, False, message) for name in RULES]
    rules = {
        f"{name}: {rule}": broken
        for name, column in rendered.columns.items()
        for rule, broken in _rules(name, column, schema[name], parameters)
    }
    keys = list(rendered.model.keys)
    # Models order each file's rows by their keys, so a repeated key stands beside its twin.
    repeated = pl.all_horizontal(pl.col(key).eq_missing(pl.col(key).shift(1)) for key in keys)
    rules["keys"] = repeated & (pl.int_range(pl.len()) > 0)
    ends = [pl.struct(keys).first().alias("first key"), pl.struct(keys).last().alias("last key")]
    counts = [pl.len().alias("rows"), *(broken.sum().alias(rule) for rule, broken in rules.items())]
    parts = [
        pl.scan_parquet(file, glob=False, hive_partitioning=False).select(*counts, *ends).collect() for file in files
    ]
    parts = [part for part in parts if part.item(0, "rows")] or parts[:1]
    totals = pl.concat(parts).select(pl.exclude("first key", "last key").sum()).row(0, named=True)
    twins = totals["keys"] + sum(
        before.item(0, "last key") == after.item(0, "first key") for before, after in pairwise(parts)
    )
    failed = {rule: totals[rule] for rule in rules if rule != "keys" and totals[rule]}
    examples = {rule: _examples(rows, keys, rules[rule]) for rule in [*failed, *(["keys"] if twins else [])]}
    failures = "; ".join(f"{rule} broken by {count} rows, e.g. {examples[rule]}" for rule, count in failed.items())
    return [
        GateResult(
            "keys_unique",
            not twins,
            f"{where}: {twins} of {totals['rows']} rows repeat a key ({', '.join(keys)})"
            + (f", e.g. {examples['keys']}; expected one row a key; look for a join that multiplies" if twins else ""),
            seen={"rows": totals["rows"], "repeated": twins},
        ),
        GateResult(
            "column_rules",
            not failed,
            f"{where}: {failures}; correct the query or what it reads"
            if failed
            else f"{where}: {len(rules) - 1} rules hold",
            seen={"rules": len(rules) - 1, **failed},
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
