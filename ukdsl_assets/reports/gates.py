"""Verdicts of gates on a day's logs, for the terminal: a line a day or log, and tables of what failed."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import date

from rich.markup import escape
from rich.table import Table

from ukdsl_assets.gates import GateResult


def gate_table(title: str, results: Iterable[GateResult]) -> Table:
    """Verdicts of gates for the terminal."""
    table = Table(title=escape(title), title_justify="left", title_style="bold")
    # Names of gates and files are whole, however long.
    for name in ("gate", "verdict", "what was seen"):
        table.add_column(name, overflow="fold")
    for result in results:
        verdict = "[green]passed[/]" if result.passed else f"[red]{result.severity}[/]"
        verdict = verdict if result.judged else f"[yellow]{result.verdict}[/]"
        table.add_row(result.name, verdict, escape(result.message))
    return table


def logs_line(day: date, results: Sequence[GateResult], rows: Mapping[str, int]) -> str:
    """A day's verdicts on its logs in one line; rows: of each log."""
    names = {"candidate_log": "candidates", "event_log": "events"}
    counted = ", ".join(f"{count:,} {names[log]}" for log, count in rows.items())
    return f"{day}  {_gates_told(results)}; {counted}"


def log_line(name: str, results: Sequence[GateResult], rows: int) -> str:
    """The verdicts on one log of a day in one line."""
    return f"{name}: {rows:,} rows, {_gates_told(results)}"


def _gates_told(results: Sequence[GateResult]) -> str:
    failed = sum(result.blocks for result in results)
    told = sum(not result.passed and not result.blocks for result in results)
    beside = f", {told} only tell(s)" if told else ""
    if failed:
        return f"{failed} of {len(results)} gates failed{beside}"
    return f"keeps the contract, {len(results)} gates{beside}"
