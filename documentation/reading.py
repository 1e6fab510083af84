"""The documents as a reader meets them: their headings, links and code blocks."""

import re
from collections.abc import Iterator, Mapping
from functools import cache
from typing import NamedTuple

from markdown.extensions.toc import slugify

from documentation.hook import TOP_FILES
from documentation.reference import PAGES
from ukdsl_assets.settings import PROJECT

DOCS = PROJECT / "docs"
_FENCE = re.compile(r"^([ \t]*)(```+|~~~+)([^\n]*)\n(.*?)^[ \t]*\2[ \t]*$", re.M | re.S)
_LINK = re.compile(r"\]\(([^)\s]+)\)")


class Block(NamedTuple):
    """A fenced block: its language, its text without the fence's indent, and the comment on the line before it."""

    language: str
    text: str
    mark: str
    line: int


@cache
def documents() -> Mapping[str, str]:
    """Path below the repository -> text of all that the site shows: files, and pages that are made of the code."""
    # Notes of studies are parts of docs/evidence.md.
    written = [path for path in sorted(DOCS.rglob("*.md")) if path.parent.name != "evidence"]
    files = [*(PROJECT / name for name in TOP_FILES), *written]
    made = {f"docs/{path}": make() for path, make in PAGES.items()}
    return {path.relative_to(PROJECT).as_posix(): path.read_text() for path in files} | made


def anchors(markdown: str) -> set[str]:
    """The anchors of a page's headings, as the site and GitHub name them."""
    found: set[str] = set()
    for title in re.findall(r"^#{1,6} (.+?)\s*$", _FENCE.sub("", markdown), re.M):
        plain = re.sub(r"\[([^]]+)\]\([^)]*\)", r"\1", title).replace("`", "").replace("*", "")
        anchor, number = slugify(plain, "-"), 0
        while (unique := f"{anchor}_{number}" if number else anchor) in found:
            number += 1
        found.add(unique)
    return found


def links(markdown: str) -> Iterator[str]:
    """Targets of links and pictures outside of code."""
    yield from _LINK.findall(re.sub(r"`[^`\n]*`", "", _FENCE.sub("", markdown)))


def blocks(markdown: str) -> Iterator[Block]:
    """Fenced blocks in order."""
    for fence in _FENCE.finditer(markdown):
        before = markdown[: fence.start()].rstrip("\n").rpartition("\n")[2].strip()
        text = "\n".join(line.removeprefix(fence[1]) for line in fence[4].split("\n"))
        mark = before.removeprefix("<!--").removesuffix("-->").strip() if before.startswith("<!--") else ""
        yield Block(fence[3].strip().split(" ")[0], text, mark, markdown.count("\n", 0, fence.start()) + 1)
