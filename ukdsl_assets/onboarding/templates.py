"""Fills in the texts of a new project; what a text needs and is not given is an error, not an empty place."""

from pathlib import Path
from typing import Any


def filled_in(template: str, **values: Any) -> str:
    """The text of a template that stands beside this file."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        undefined=StrictUndefined,
    )
    # A comment ends where its line does, and a column or event may be called anything.
    environment.filters["one_line"] = lambda text: " ".join(str(text).split())
    return environment.get_template(template).render(**values)
