"""Hooks of mkdocs: they add the pages that no file in docs/ holds, and turn links as GitHub reads them into the site's.

The reference is made of the code; CONTRIBUTING.md and CHANGELOG.md stand at the repository's top, where people look for
them.
"""

import posixpath
import re
from typing import Any

from mkdocs.structure.files import File, Files

from documentation.reference import PAGES
from ukdsl_assets.settings import PROJECT

# Files at the top of the repository -> the site's page of each, below docs/.
TOP_FILES = {"README.md": "index.md", "CONTRIBUTING.md": "contributing.md", "CHANGELOG.md": "changelog.md"}
# Long pages of figures and of what was, which hold every word: other pages are found before them.
LAST_FOUND = {"evidence.md", "changelog.md"}
_PLUS_MINUS = re.compile(r"(?<=[\d%]) \+- (?=[\d.])")
_LINK = re.compile(r"(?<=\]\()([^)#\s:]+)(?=[)#])")


def on_files(files: Files, config: Any) -> Files:
    """Add the reference and the files of the repository's top."""
    for path, make in PAGES.items():
        files.append(File.generated(config, path, content=make()))
    for name, path in TOP_FILES.items():
        if path not in files.src_uris:
            files.append(File.generated(config, path, content=(PROJECT / name).read_text()))
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Any) -> str:
    """What the page says with the site's links; tables inside of <details> are Markdown there too."""
    if page.file.src_uri in LAST_FOUND:
        page.meta.setdefault("search", {"boost": 0.2})
    linked = with_site_links(markdown, page.file.src_uri).replace("<details>", '<details markdown="1">')
    return with_errors_beside(linked)


def with_errors_beside(markdown: str) -> str:
    """1.002 +- .005 as 1.002 \u00b1 .005 that no line breaks; what is in code stays as it is."""
    parts = re.split(r"(^[ \t]*```.*?^[ \t]*```|`[^`\n]*`)", markdown, flags=re.M | re.S)
    parts[::2] = [_PLUS_MINUS.sub("\u00a0\u00b1\u00a0", part) for part in parts[::2]]
    return "".join(parts)


def with_site_links(markdown: str, path: str) -> str:
    """Links between files of the repository as links between pages of the site; what leads elsewhere stays.

    Args:
        path: of the page below docs/; that of a file of the repository's top stands in `TOP_FILES`.
    """
    of_top = path in TOP_FILES.values() and not (PROJECT / "docs" / path).exists()
    folder = "" if of_top else posixpath.join("docs", posixpath.dirname(path))

    def turned(link: re.Match[str]) -> str:
        target = posixpath.normpath(posixpath.join(folder, link[1]))
        if target in TOP_FILES:
            target = TOP_FILES[target]
        elif of_top and target.startswith("docs/"):
            target = target.removeprefix("docs/")
        else:
            return link[1]
        return posixpath.relpath(target, posixpath.dirname(path) or ".")

    return _LINK.sub(turned, markdown)
