"""The page in the repository is the one that the command makes of the results beside it."""

from ukdsl_assets.evidence.document import document, read_results
from ukdsl_assets.settings import PROJECT


def test_no_figure_of_the_page_is_typed() -> None:
    docs = PROJECT / "docs"
    assert (docs / "evidence.md").read_text() == document(read_results(docs / "evidence")) + "\n"
