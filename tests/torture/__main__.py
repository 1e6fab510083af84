"""Torture the platform and print the figures: `make torture`, a quarter of an hour, or three minutes with `--short`.

python -m tests.torture [--short] [PART ...]
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from rich.console import Console
from rich.table import Table

from tests.torture.bad_logs import corpus, refusal
from tests.torture.damage import damage
from tests.torture.full_disk import full_disk
from tests.torture.kills import kill_writers
from tests.torture.races import races
from tests.torture.runs import first_commands_at_once, kill_runs

Figures = Mapping[str, dict[str, int] | str]
# Figures that may be anything; all others must be 0.
COUNTS = {"kills", "trials", "refused", "first", "second", "pairs", "ended_before", "tried"}


def bad_logs(folder: Path) -> dict[str, int]:
    """How many bad logs were tried, accepted, and refused without the words that they need."""
    figures = {"tried": 0, "accepted": 0, "words_missing": 0}
    for number, bad in enumerate(corpus()):
        here = folder / str(number)
        here.mkdir(parents=True)
        words = refusal(here, bad.spoil)
        figures["tried"] += 1
        figures["accepted"] += not words
        if missing := [word for word in bad.words if word not in words]:
            print(f"{bad.name}: no {missing} in {words[:500]!r}")
            figures["words_missing"] += 1
    return figures


def parts(short: bool) -> dict[str, Callable[[Path], Figures]]:
    """Part -> what tries it in an empty folder."""
    return {
        "bad logs": lambda folder: {"the corpus": bad_logs(folder)},
        "damage": lambda folder: damage(folder, 12 if short else 300),
        "kills": lambda folder: kill_writers(folder, 1 if short else 30),
        "races": lambda folder: races(folder, 0.5 if short else 8),
        "runs": lambda folder: {
            "ukdsl run killed": kill_runs(folder, 1 if short else 12),
        },
        "first commands": lambda folder: {
            "two at once": first_commands_at_once(folder, 1 if short else 4),
        },
        "full disk": lambda folder: {"full, then read-only": full_disk(folder)},
    }


def wrong(figures: dict[str, int] | str) -> dict[str, int]:
    """The figures that should be 0 and are not."""
    if isinstance(figures, str):
        return {}
    return {name: value for name, value in figures.items() if value and name not in COUNTS}


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--short", action="store_true", help="few trials of each")
    arguments.add_argument("parts", nargs="*", help=f"of: {', '.join(parts(True))}")
    given = arguments.parse_args()
    known = parts(given.short)
    if unknown := set(given.parts) - known.keys():
        arguments.error(f"no part {', '.join(sorted(unknown))}; there are {', '.join(known)}")
    console = Console(width=max(Console().width, 110))
    table = Table("part", "what", "figures", "seconds", title="Torture: all but what was tried must be 0")
    failed = False
    for part in given.parts or known:
        began = time.monotonic()
        with tempfile.TemporaryDirectory() as folder:
            found = known[part](Path(folder) / "here")
        seconds = f"{time.monotonic() - began:.0f}"
        for row, (what, figures) in enumerate(found.items()):
            bad = wrong(figures)
            failed |= bool(bad)
            shown = (
                figures if isinstance(figures, str) else ", ".join(f"{name} {value}" for name, value in figures.items())
            )
            first = (part, seconds) if row == 0 else ("", "")
            table.add_row(first[0], what, f"[red]{shown}[/]" if bad else shown, first[1])
        console.print(f"{part}: {seconds} s")
    console.print(table)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
