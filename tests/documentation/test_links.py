"""Every link of README, docs and the pages made of the code leads somewhere, to the heading that it names."""

import posixpath

import pytest

from documentation.hook import TOP_FILES, with_errors_beside, with_site_links
from documentation.reading import anchors, documents, links
from ukdsl_assets.settings import PROJECT


@pytest.mark.parametrize("document", documents())
def test_links_and_anchors_resolve(document: str) -> None:
    for link in links(documents()[document]):
        if "://" in link or link.startswith("mailto:"):
            continue
        path, _, anchor = link.partition("#")
        target = posixpath.normpath(posixpath.join(posixpath.dirname(document), path)) if path else document
        there = target in documents() or (PROJECT / target).exists()
        assert there, f"{document}: link to {link}, and {target} is not there"
        if anchor:
            known = anchors(documents()[target])
            assert anchor in known, f"{document}: link to {link}; headings of {target}: {', '.join(sorted(known))}"


def test_nothing_is_drawn_by_a_script_from_elsewhere() -> None:
    drawn = [document for document, text in documents().items() if "```mermaid" in text]
    assert not drawn, "the site knows no mermaid, whose program would have to be loaded: draw an SVG in docs/images"


def test_links_between_the_repositorys_top_and_docs_become_links_of_the_site() -> None:
    said = "[a](docs/ui.md#x) [b](CHANGELOG.md) [c](https://x.org/README.md) [d](LICENSE)"
    assert with_site_links(said, "contributing.md") == (
        "[a](ui.md#x) [b](changelog.md) [c](https://x.org/README.md) [d](LICENSE)"
    )
    assert with_site_links("[a](../../CHANGELOG.md#y) [b](s3.md)", "how-to/production.md") == (
        "[a](../changelog.md#y) [b](s3.md)"
    )
    assert with_site_links("[a](../README.md)", "logs.md") == "[a](index.md)"
    assert {"index.md", "changelog.md"} <= set(TOP_FILES.values())


def test_errors_stand_beside_their_figures_outside_of_code() -> None:
    said = "| 1.0 +- .1 | -3% +- 2% |\n`1 +- 2`\n```\n1 +- 2\n```\nx +- y"
    shown = "| 1.0\u00a0\u00b1\u00a0.1 | -3%\u00a0\u00b1\u00a02% |\n`1 +- 2`\n```\n1 +- 2\n```\nx +- y"
    assert with_errors_beside(said) == shown


def test_anchors_are_those_of_headings_and_not_of_comments_in_code() -> None:
    page = "# One: `two`\n\n```sh\n# no heading\n```\n\n## A [link](x.md) *here*\n\n## A link here\n"
    assert anchors(page) == {"one-two", "a-link-here", "a-link-here_1"}


def test_the_readme_can_be_read_in_one_go() -> None:
    assert len((PROJECT / "README.md").read_text().splitlines()) <= 150
