"""Small changes to the SQL models, which are templates: to the text between what Jinja and comments hold."""

import re
from collections.abc import Iterator

Made = tuple[int, str, str, str]

# What stands there -> what may stand there.
CHANGES = (
    (r" >= ", " > "),
    (r" <= ", " < "),
    (r" > ", " >= "),
    (r" < ", " <= "),
    (r" = ", " <> "),
    (r" <> ", " = "),
    (r"(?<!BETWEEN 0) AND ", " OR "),
    (r" OR ", " AND "),
    (r" \+ ", " - "),
    (r" - ", " + "),
    (r" \* ", " / "),
    (r" / ", " * "),
    (r"\bNOT (?!NULL\b)", ""),
    (r"\bIS NULL\b", "IS NOT NULL"),
    (r"\bIS NOT NULL\b", "IS NULL"),
    (r"\bmin\(", "max("),
    (r"\bmax\(", "min("),
    (r"\bsum\(", "max("),
    (r"\bavg\(", "sum("),
    (r"\bbool_or\(", "bool_and("),
    (r"\bgreatest\(", "least("),
    (r"\bleast\(", "greatest("),
    (r"\bLEFT JOIN\b", "INNER JOIN"),
    (r"\bINNER JOIN\b", "LEFT JOIN"),
    (r"\bSEMI JOIN\b", "ANTI JOIN"),
    (r"\bANTI JOIN\b", "SEMI JOIN"),
    (r"\bUNION ALL\b", "UNION"),
    (r"\bTRUE\b", "FALSE"),
    (r"\bFALSE\b", "TRUE"),
    (r"\bDISTINCT ", ""),
    (r"(?<![\w.$\"'])0(?![\w.])", "1"),
    (r"(?<![\w.$\"'])1(?![\w.])", "2"),
    (r"\bWHERE [^\n]+", ""),
    (r"\bORDER BY [^\n]+", ""),
    (r"(?m)^ +(?:AND|OR) [^\n]+\n", ""),
)
_APART = re.compile(r"--[^\n]*|\{%.*?%\}|\{\{.*?\}\}|'[^'\n]*'", re.DOTALL)


def sql_changes(text: str) -> Iterator[Made]:
    """Line, text before, text after and the whole text of each change, in the order of the file."""
    apart = [match.span() for match in _APART.finditer(text)]
    found = sorted(
        (match.start(), match.end(), after) for pattern, after in CHANGES for match in re.finditer(pattern, text)
    )
    for start, end, after in found:
        if any(first <= start < last for first, last in apart):
            continue
        changed = text[:start] + after + text[end:]
        line = text.count("\n", 0, start) + 1
        yield line, *_around(text, start, end, after), changed


def _around(text: str, start: int, end: int, after: str) -> tuple[str, str]:
    """The line of a change before and after it."""
    first = text.rfind("\n", 0, start) + 1
    last = text.find("\n", max(end - 1, start))
    line = text[first:last].strip()
    return line, (text[first:start] + after + text[end:last]).strip()
