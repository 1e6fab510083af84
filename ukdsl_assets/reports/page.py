"""What HTML pages of a lake share: their templates' folder, how templates are filled, and one style sheet."""

from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

_FOLDER = Path(__file__).parent


def page_environment() -> Environment:
    """Jinja that escapes what it is given, refuses a name that nobody gave, and leaves no empty lines of its own."""
    return Environment(
        loader=FileSystemLoader(_FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def style_sheet() -> Markup:
    """The text of report.css, for inside a page."""
    return Markup((_FOLDER / "report.css").read_text(encoding="utf-8"))
