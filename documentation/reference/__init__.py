"""The reference: pages made of what the code says of itself, each by one function without arguments."""

from collections.abc import Callable, Mapping

from documentation.reference.commands import commands_page
from documentation.reference.declaration import declaration_page
from documentation.reference.gates import gates_page
from documentation.reference.settings import settings_page
from documentation.reference.tables import tables_page

# Path below docs/ -> what makes the page. No file is there: the site's hook adds them.
PAGES: Mapping[str, Callable[[], str]] = {
    "reference/declaration.md": declaration_page,
    "reference/settings.md": settings_page,
    "reference/commands.md": commands_page,
    "reference/tables.md": tables_page,
    "reference/gates.md": gates_page,
}
