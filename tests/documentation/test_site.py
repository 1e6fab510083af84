"""The site is built without a warning, and a reader of it needs no network."""

import json
import re
import warnings
from pathlib import Path

import pytest
from mkdocs.commands.build import build
from mkdocs.config import load_config

from documentation.reading import documents
from ukdsl_assets.settings import PROJECT

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built as `make docs` does: what would be a warning raises."""
    folder = tmp_path_factory.mktemp("site")
    with pytest.MonkeyPatch.context() as environment, warnings.catch_warnings():
        # mkdocs and its theme are on their way to other versions, and say so.
        warnings.simplefilter("ignore")
        environment.setenv("NO_MKDOCS_2_WARNING", "1")
        config = load_config(str(PROJECT / "mkdocs.yml"), strict=True, site_dir=str(folder))
        config.plugins.on_startup(command="build", dirty=False)
        build(config)
    return folder


def test_pages_load_nothing_from_elsewhere(site: Path) -> None:
    pages = list(site.rglob("*.html"))
    assert len(pages) > 25
    for page in pages:
        loaded = re.findall(r"<(?:script|img|iframe|source)[^>]+src=\"?([^\"\s>]+)", page.read_text())
        loaded += re.findall(r"<link[^>]+rel=\"?(?:stylesheet|icon|preload)[^>]*href=\"?([^\"\s>]+)", page.read_text())
        assert loaded
        assert not [each for each in loaded if "//" in each]
        assert 'class="mermaid"' not in page.read_text()
    styles = "".join(style.read_text() for style in site.rglob("*.css"))
    assert not re.search(r"url\(\"?https?:|@import", styles)


def test_the_search_knows_every_page_without_a_server(site: Path) -> None:
    script = (site / "search" / "search_index.js").read_text()
    index = json.loads(script.removeprefix("var __index = "))
    found = {entry["location"].partition("#")[0].removesuffix(".html") for entry in index["docs"]}
    written = {name.removeprefix("docs/").removesuffix(".md") for name in documents() if name.startswith("docs/")}
    assert {each.removesuffix("index") for each in written} <= found | {""}
    assert {"contributing", "changelog", "reference/gates"} <= found
    assert (site / "javascripts" / "iframe-worker.js").is_file()
