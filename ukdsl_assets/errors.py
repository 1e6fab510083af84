"""What can go wrong, by name. Every message says what, where, seen, expected, and the fix."""

from collections.abc import Iterable
from difflib import get_close_matches
from typing import Literal


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """`; did you mean X?` for the known word that is nearest to this one, an empty text if none is near."""
    near = get_close_matches(word, list(known), n=1)
    return f"; did you mean `{near[0]}`?" if near else ""


class UkdslError(Exception):
    """Base of every error that a user can mend; the command line prints it without a traceback."""


class DeclarationError(UkdslError):
    """A cascade's YAML is wrong."""


class LogsError(UkdslError):
    """Logs cannot be used; `log` is the one that the error is about."""

    log: Literal["candidate_log", "event_log"] = "candidate_log"


class SourceError(LogsError):
    """Logs are missing or cannot be read."""


class ContractError(LogsError):
    """Logs were read but break the contract."""


class SqlModelError(UkdslError):
    """A file of dbt_like_sql is wrong or failed to run."""


class LakeError(UkdslError):
    """A table or checkpoint could not be published or read."""


class TrainingError(UkdslError):
    """A model cannot be trained or has diverged."""


class ScoringError(UkdslError):
    """Candidates cannot be scored."""


class EvidenceError(UkdslError):
    """A study cannot be measured or told."""


class SelectionError(UkdslError):
    """Features cannot be ranked or selected."""


class TheoryError(UkdslError):
    """An analysis of section 3 was asked for a selection or a noise that cannot be."""
