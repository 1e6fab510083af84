"""How often rows break rules, counted over the parts of a log, and the verdicts in words that follow."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import polars as pl

from ukdsl_assets.gates import GateResult
from ukdsl_assets.logs.rules import Rule

SHOWN_KEYS = 3
# Takes a frame of keys, gives the files that hold rows of each.
Locate = Callable[[pl.DataFrame], Mapping[tuple[Any, ...], Sequence[str]]]


@dataclass(frozen=True)
class Broken:
    """What a part of a log was found to break.

    Attributes:
        rows: of the part.
        counts: rows that break a rule, by its place among the rules; of broken ones alone.
        examples: the first of them, in the log's order, by the same.
    """

    rows: int = 0
    counts: Mapping[int, int] = field(default_factory=dict)
    examples: Mapping[int, pl.DataFrame] = field(default_factory=dict)


class Tally:
    """Counts of rules, and the first rows that break each; every rule is counted in one pass.

    Args:
        rules: about rows, or about rows of one request.
        order: columns that the log is sorted by.
    """

    def __init__(self, rules: Sequence[Rule], order: Sequence[str]) -> None:
        self._rules, self._order = rules, order
        self._counts = [0] * len(rules)
        self._examples: dict[int, pl.DataFrame] = {}
        self.rows = 0

    def counted(self, frame: pl.DataFrame) -> Broken:
        """What a part of the log breaks: whole requests, sorted."""
        totals = {place: rule.bad.sum().alias(str(place)) for place, rule in enumerate(self._rules)}
        of_all = frame.select(pl.len(), *(totals[place] for place in totals if self._rules[place].among is None))
        of_some = pl.collect_all(
            _about(rule, frame).select(totals[place])
            for place, rule in enumerate(self._rules)
            if rule.among is not None
        )
        found = pl.concat([of_all, *of_some], how="horizontal").row(0, named=True)
        counts = {place: found[str(place)] for place in totals if found[str(place)]}
        examples = pl.collect_all(
            _about(self._rules[place], frame).filter(self._rules[place].bad).select(self._order).head(SHOWN_KEYS)
            for place in counts
        )
        return Broken(frame.height, counts, dict(zip(counts, examples, strict=True)))

    def add(self, broken: Broken) -> None:
        """Add a part, after those before it."""
        self.rows += broken.rows
        for place, count in broken.counts.items():
            self._counts[place] += count
            self._examples[place] = self._first(self._examples.get(place), broken.examples[place])

    def verdicts(
        self, where: str, gates: Sequence[str], keys: Sequence[str], locate: Locate | None
    ) -> list[GateResult]:
        """One result a gate, in their order.

        Args:
            where: log, cascade and day, for the messages.
            gates: those of the rules, or more.
            keys: columns of the order that messages show of the first offending rows.
            locate: asked once, if a rule is broken, for the files of these rows.
        """
        broken = [(place, self._examples[place].select(keys)) for place in sorted(self._examples)]
        files = locate(pl.concat([example for _, example in broken]).unique()) if locate and broken else {}
        results = []
        for gate in gates:
            figures: dict[str, Any] = {"rows": self.rows}
            messages = []
            for place, example in broken:
                rule = self._rules[place]
                if rule.gate == gate:
                    figures[f"{rule.column}: {rule.expected}"] = self._counts[place]
                    messages.append(_message(rule, self._counts[place], self.rows, example, files))
            kept = f"every rule holds on {self.rows:,} rows"
            results.append(GateResult(gate, not messages, f"{where}: {'; '.join(messages) or kept}", seen=figures))
        return results

    def _first(self, before: pl.DataFrame | None, added: pl.DataFrame) -> pl.DataFrame:
        """The first rows of both, in the log's order: that of all parts together."""
        if before is None:
            return added
        return pl.concat([before, added]).sort(self._order, maintain_order=True).head(SHOWN_KEYS)


def _about(rule: Rule, frame: pl.DataFrame) -> pl.LazyFrame:
    return frame.lazy() if rule.among is None else frame.lazy().filter(rule.among)


def _message(
    rule: Rule, count: int, rows: int, example: pl.DataFrame, files: Mapping[tuple[Any, ...], Sequence[str]]
) -> str:
    keys = example.rows()
    holding = ", ".join(sorted({file for key in keys for file in files.get(key, ())}))
    return (
        f"column `{rule.column}`: {count:,} of {rows:,} rows break the rule `{rule.expected}`, "
        f"e.g. ({', '.join(example.columns)}) = {', '.join(str(key) for key in keys)}"
        f"{holding and f' in {holding}'}; {rule.fix}"
    )
