"""The glossary has one source, and sentences of a report link to it where they first use a word."""

import re

from ukdsl_assets.reports.explained import Explained
from ukdsl_assets.reports.glossary import CODES, GROUPS, ROWS, TERMS, glossary_markdown
from ukdsl_assets.settings import PROJECT


def test_the_page_is_fresh() -> None:
    page = (PROJECT / "docs" / "glossary.md").read_text()
    assert page == glossary_markdown() + "\n", "python -m ukdsl_assets.reports.glossary > docs/glossary.md"


def test_every_word_is_explained_once_in_one_sentence() -> None:
    terms = [term for terms in GROUPS.values() for term in terms]
    assert len(TERMS) == len(terms) == len({term.anchor for term in terms})
    for term in terms:
        assert term.sentence.endswith(".")
        assert not re.search(r"[.!?] [A-Z]", term.sentence), term
    assert CODES.keys() >= ROWS.keys()


def test_a_code_becomes_words_that_link_where_a_section_first_uses_them() -> None:
    explained = Explained()
    first = str(explained.text("NE on CD rows +1.5% (-0.2 to +3.2); IMP_x stays"))
    assert re.sub("<[^>]*>", "", first) == "NE on ranked rows +1.5% (\u22120.2 to +3.2); IMP_x stays"
    assert 'href="#term-ranked"' in first
    assert TERMS["ranked"].sentence in first
    assert str(explained.text("CD")) == "ranked rows"
    assert explained.begin() == ""
    assert "#term-ranked" in str(explained.text("CD"))


def test_users_texts_are_escaped() -> None:
    assert str(Explained().text("<b> +- & -> 3")) == "&lt;b&gt; ± &amp; → 3"
