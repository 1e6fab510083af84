"""Tables and texts as Markdown."""

from collections.abc import Iterable, Sequence


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table; cells may hold Markdown, and a `|` or a line's end in them breaks nothing.

    The class lets a page's style leave its last column room for sentences.
    """
    lines = [head, ["---"] * len(head), *rows]
    written = "\n".join("| " + " | ".join(map(_cell, line)) + " |" for line in lines)
    return f'<div class="reference" markdown="1">\n\n{written}\n\n</div>'


def code(text: object) -> str:
    """A text as code; empty for an empty one."""
    return f"`{text}`" if str(text) else ""


def sentence(text: str) -> str:
    """The text with a capital letter before and a full stop behind it; empty for an empty one."""
    text = text.strip()
    if not text:
        return ""
    # What is code keeps its letters.
    begun = text if text[0] in "`<[" else text[0].upper() + text[1:]
    return begun if begun[-1] in ".!?:" else f"{begun}."


def page(title: str, introduction: str, *sections: str) -> str:
    """A page of its title, a paragraph, and sections that begin with their own headings."""
    return "\n\n".join([f"# {title}", introduction, *sections]) + "\n"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n\n", "<br>").replace("\n", " ")
