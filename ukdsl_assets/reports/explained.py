"""Words of the glossary where a page uses them: a link that also says what the word means when it is pointed at."""

import re

from markupsafe import Markup, escape

from ukdsl_assets.reports.glossary import CODES, ROWS, TERMS, Term

# What stands for a code in a sentence.
_WORDS = {code: f"{ROWS[code]} rows" for code in ("IMP", "CD", "GIVEN", "EXPLORED", "EXPLORED_TRAILING")}
_WORDS |= {"SCORED": "all scored rows", "OWN": "own choice", "PRODUCT": "the product", "NE": "NE"}
_CODE = re.compile(rf"\b({'|'.join(sorted(_WORDS, key=len, reverse=True))})\b(?: rows\b)?")


class Explained:
    """What a page has explained: a word is a link where a section first uses it, and plain from then on."""

    def __init__(self) -> None:
        self._seen: set[str] = set()

    def begin(self) -> str:
        """A new section, for a reader who came by the contents; nothing to see."""
        self._seen.clear()
        return ""

    def term(self, name: str, words: str | None = None) -> Markup:
        """A word of the glossary, said in these words or by its name.

        Raises:
            KeyError: the glossary has no such word.
        """
        return self._linked(TERMS[name], words or name)

    def text(self, plain: str) -> Markup:
        """A sentence with its signs set for reading and with words in place of codes such as CD."""
        typeset = plain.replace("+-", "\N{PLUS-MINUS SIGN}").replace("->", "\N{RIGHTWARDS ARROW}")
        typeset = re.sub(r"(?<=[\s(\[])-(?=[\d.])", "\N{MINUS SIGN}", typeset)
        parts, end = [], 0
        for found in _CODE.finditer(typeset):
            parts += [escape(typeset[end : found.start()]), self._linked(CODES[found[1]], _WORDS[found[1]])]
            end = found.end()
        return Markup("").join([*parts, escape(typeset[end:])])

    def _linked(self, term: Term, words: str) -> Markup:
        if term.name in self._seen:
            return escape(words)
        self._seen.add(term.name)
        return Markup('<a class="term" href="#{}" title="{}">{}</a>').format(term.anchor, term.sentence, words)
