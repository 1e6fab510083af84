"""docs/evidence.md, made of the results that the commands wrote and of notes; no figure is typed."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ukdsl_assets.errors import EvidenceError
from ukdsl_assets.evidence.summary import aim_lines, caption, read_result, text_rows

HEADER = """# Evidence

Made by `ukdsl evidence document` from the JSON that the commands below wrote (`docs/evidence/*.json`) and the notes
beside them (`*.md`, prose without measured figures). A figure is a mean over seeds +- its standard error."""


def document(results: Sequence[tuple[Mapping[str, Any], str]]) -> str:
    """The Markdown page: a section for each result of `result_of`, with its notes (or an empty text).

    A first line of the notes that is a heading stands in place of the study's question.
    """
    return "\n".join([HEADER, *(section(result, notes) for result, notes in results)])


def section(result: Mapping[str, Any], notes: str = "") -> str:
    """Markdown of one result: what the figures are of, the command, the tables, the aims and the notes."""
    return "\n".join(_lines(result, notes))


def read_results(folder: Path) -> list[tuple[dict[str, Any], str]]:
    """Results and notes in a folder, sorted by file name.

    Raises:
        EvidenceError: there is none, or a file is no result.
    """
    paths = sorted(folder.glob("*.json"))
    if not paths:
        raise EvidenceError(
            f"{folder}: no *.json here; write some with `ukdsl evidence NAME --json {folder}/NAME.json`"
        )
    notes = [path.with_suffix(".md") for path in paths]
    return [
        (read_result(path.read_text(), str(path)), note.read_text() if note.exists() else "")
        for path, note in zip(paths, notes, strict=True)
    ]


def _lines(result: Mapping[str, Any], notes: str) -> Iterator[str]:
    first, _, rest = notes.strip().partition("\n")
    title, notes = (first.removeprefix("# "), rest) if first.startswith("# ") else (result["question"], notes)
    yield f"\n## {title}\n"
    yield f"{caption(result)}\n\n    {result['command']}"
    for table in result["tables"]:
        if table["lines"]:
            yield f"\n<details><summary>{table['title']}</summary>\n" if table["folded"] else f"\n{table['title']}\n"
            yield _line((*table["keys"], *table["figures"]))
            yield "|" + " --- |" * len(table["keys"]) + " ---: |" * len(table["figures"])
            yield from (_line(row) for row in text_rows(table))
            if table["folded"]:
                yield "\n</details>"
    if aims := list(aim_lines(result)):
        yield ""
        yield from (f"* {aim}" for aim in aims)
    if notes.strip():
        yield f"\n{notes.strip()}"


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
