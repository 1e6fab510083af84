"""A study's result: mean and standard error over seeds, as JSON values, and as rows of text for tables."""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from ukdsl_assets.errors import EvidenceError
from ukdsl_assets.evidence.study import Aim, Study, TableOf
from ukdsl_assets.evidence.units import Unit


def result_of(study: Study, units: Sequence[Unit], command: str) -> dict[str, Any]:
    """Everything about a measured study as JSON values: what `--json` writes and docs/evidence.md is made from.

    Args:
        units: of one choice of settings, different seeds, at least one.
        command: what was typed to get it.
    """
    settings = {name: value for name, value in units[0].settings.items() if name != "seed"}
    tables = [
        {
            "name": table.name,
            "title": table.title,
            "keys": list(table.keys),
            "figures": dict(table.figures),
            "folded": table.folded,
            "beside": [dict(line) for line in table.beside],
            "lines": summary(table, units),
        }
        for table in study.tables
    ]
    return {
        "study": study.name,
        "version": study.version,
        "question": study.question,
        "data": study.data.format(**settings),
        "command": command,
        "settings": settings,
        "seeds": [unit.settings["seed"] for unit in units],
        "seconds": sum(unit.seconds for unit in units),
        "cpu_seconds": sum(unit.cpu_seconds for unit in units),
        "tables": tables,
        "aims": [verdict for aim in study.aims for verdict in _verdicts(aim, tables)],
        "units": [{"seed": unit.settings["seed"], "rows": unit.rows} for unit in units],
    }


def summary(table: TableOf, units: Sequence[Unit]) -> list[dict[str, Any]]:
    """A line for each combination of the table's keys.

    Returns:
        The keys, and for each figure {"mean", "error", "seeds"}: mean over the seeds that have the figure, its standard
        error (standard deviation over the root of the number; None for fewer than two), and how many those are.

    Raises:
        EvidenceError: when a unit has two rows of the same keys.
    """
    by_key: dict[tuple[Any, ...], dict[str, list[float]]] = {}
    for unit in units:
        mine = set()
        for row in unit.rows.get(table.name, []):
            key = tuple(row.get(name) for name in table.keys)
            if key in mine:
                raise EvidenceError(
                    f"table {table.name}, seed {unit.settings['seed']}: two rows of {key}; expected one"
                )
            mine.add(key)
            values = by_key.setdefault(key, {name: [] for name in table.figures})
            for name in table.figures:
                value = row.get(name)
                if value is not None and math.isfinite(value):
                    values[name].append(float(value))
    return [
        {**dict(zip(table.keys, key, strict=True)), **{name: mean_and_error(figure) for name, figure in values.items()}}
        for key, values in by_key.items()
    ]


def mean_and_error(values: Sequence[float]) -> dict[str, float | int | None]:
    """Mean, standard error of the mean (None for fewer than two values) and number; all None and 0 for no values."""
    count = len(values)
    return {
        "mean": float(np.mean(values)) if count else None,
        "error": float(np.std(values, ddof=1) / math.sqrt(count)) if count > 1 else None,
        "seeds": count,
    }


def _verdicts(aim: Aim, tables: Sequence[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    """An aim with its figure and whether it is reached; nothing where the line was not measured."""
    (table,) = (named for named in tables if named["name"] == aim.table)
    for line in table["lines"]:
        if all(line[key] == value for key, value in aim.line.items()) and line[aim.figure]["mean"] is not None:
            figure = line[aim.figure]
            two_errors = 2 * (figure["error"] or 0.0)
            low, high = figure["mean"] - two_errors, figure["mean"] + two_errors
            within = (aim.low is None or low >= aim.low) and (aim.high is None or high <= aim.high)
            yield {
                "claim": aim.claim,
                "seen": _with_error(figure, table["figures"][aim.figure]),
                # One seed has no error, so it shows nothing.
                "reached": within if figure["seeds"] > 1 else None,
            }


def long_form(result: Mapping[str, Any]) -> list[tuple[str, str, str, float | None, float | None, int]]:
    """Every figure of `result_of` as (table, line, figure, mean, standard error, seeds)."""
    return [
        (table["name"], ", ".join(str(line[key]) for key in table["keys"]), name, *line[name].values())
        for table in result["tables"]
        for line in table["lines"]
        for name in table["figures"]
    ]


def text_rows(table: Mapping[str, Any]) -> Iterator[tuple[str, ...]]:
    """The lines of one table of `result_of` as texts: keys, then `1.004 +- .011` a figure; then the lines beside."""
    for line in table["lines"]:
        keys = ("" if line[name] is None else str(line[name]) for name in table["keys"])
        yield (*keys, *(_with_error(line[name], form) for name, form in table["figures"].items()))
    for line in table["beside"]:
        yield tuple(line.get(name, "") for name in (*table["keys"], *table["figures"]))


def aim_lines(result: Mapping[str, Any]) -> Iterator[str]:
    """A sentence an aim of `result_of`."""
    for aim in result.get("aims", []):
        verdict = {True: "reached", False: "NOT reached", None: "one seed cannot tell"}[aim["reached"]]
        yield f"{aim['claim']}: {verdict} at two standard errors ({aim['seen']})."


def caption(result: Mapping[str, Any]) -> str:
    """What the figures of `result_of` are of, how many seeds, and what they cost, in one line."""
    seeds = result["seeds"]
    run = ", ".join(map(str, seeds))
    if len(seeds) > 2 and seeds == list(range(seeds[0], seeds[-1] + 1)):
        run = f"{seeds[0]} to {seeds[-1]}"
    errors = "mean +- standard error over the seeds" if len(seeds) > 1 else "one seed, so without errors"
    return (
        f"{result['data']}; seeds {run}: {errors}. {result['seconds'] / len(seeds):.0f} s of wall time and "
        f"{result['cpu_seconds'] / len(seeds):.0f} s of CPU time a seed."
    )


def read_result(content: str, where: str) -> dict[str, Any]:
    """A result that `--json` wrote.

    Raises:
        EvidenceError: it is no such JSON.
    """
    try:
        result = json.loads(content)
        missing = {"study", "question", "data", "command", "seeds", "tables"} - set(result)
    except (ValueError, TypeError) as error:
        raise EvidenceError(f"{where}: expected the JSON of `ukdsl evidence NAME --json`, saw {error}") from None
    if missing:
        raise EvidenceError(
            f"{where}: expected the JSON of `ukdsl evidence NAME --json`, saw none of {sorted(missing)}"
        )
    return dict(result)


def _with_error(figure: Mapping[str, Any], form: str) -> str:
    """`1.004 +- .011`, `-1.98 +- .17%`, `1.004` of one seed, nothing without any."""
    if figure["mean"] is None:
        return ""
    mean = format(figure["mean"], form)
    if figure["error"] is None:
        return mean
    error = format(figure["error"], form.lstrip("+"))
    error = error.removeprefix("0") if "." in error else error
    return f"{mean.rstrip('%')} +- {error}"
