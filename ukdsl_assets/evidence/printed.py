"""A study's result as a table for the terminal."""

from collections.abc import Mapping
from typing import Any

from rich.markup import escape
from rich.table import Table

from ukdsl_assets.evidence.summary import text_rows


def summary_table(summary: Mapping[str, Any]) -> Table:
    """One table of a study's result (`evidence.summary.result_of`) for the terminal."""
    table = Table(title=escape(summary["title"]), title_justify="left", title_style="bold")
    for name in summary["keys"]:
        table.add_column(name, overflow="fold")
    for name in summary["figures"]:
        table.add_column(name, justify="right", overflow="fold")
    for row in text_rows(summary):
        # Headers may be broken at their spaces, figures only on a narrow terminal; nothing is cut off.
        table.add_row(*(escape(cell.replace(" +- ", "\u00a0+-\u00a0")) for cell in row))
    return table
