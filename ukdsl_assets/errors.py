"""What can go wrong, by name. Every message says what, where, seen, expected, and the fix; none tells a secret."""

import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from difflib import get_close_matches
from typing import Literal


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """`; did you mean X?` for the known word that is nearest to this one, an empty text if none is near."""
    near = get_close_matches(word, list(known), n=1)
    return f"; did you mean `{near[0]}`?" if near else ""


# An address up to the blank, quote or bracket that ends it in a sentence.
_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[^\s'\"<>`]+")
_WITH_PASSWORD = re.compile(r"(?<=://)([^/@]*:[^/]*)@")
# Keys of a store may hold `/`; a number that ends with it is a port.
_WITH_KEY = re.compile(r"(?<=://)([^/@:]*:(?!\d+/)[^@]*/[^@]*)@")
# A user alone is no secret, and abfs:// has a container there; but a token is sent to a web server so.
_WITH_TOKEN = re.compile(r"^(https?)://[^/@]+@", re.IGNORECASE)
_SECRET_VALUE = re.compile(
    r"([?&;#][^=&;]*(?:sig|token|secret|passw|pwd|credential|access_?key|api_?key|account_?key)[^=&;]*=)[^&;]+",
    re.IGNORECASE,
)


def redacted(text: str) -> str:
    """The text with `***` for what lets its reader in: passwords, tokens and signatures of the addresses in it.

    A user and password of an address are left out wherever they stand: a store's own error may quote them alone.
    """
    quoted: set[str] = set()

    def without(address: re.Match[str]) -> str:
        plain = address[0]
        for secret in (_WITH_PASSWORD, _WITH_KEY):
            quoted.update(part for user in secret.findall(plain) for part in (user, user.partition("/")[0]))
            plain = secret.sub("***@", plain)
        return _SECRET_VALUE.sub(r"\1***", _WITH_TOKEN.sub(r"\1://***@", plain))

    text = _ADDRESS.sub(without, text) if "://" in text else text
    for user in sorted(quoted, key=len, reverse=True):
        # A user without a password, or the other way round, is no secret or too short to tell from other words.
        text = text.replace(user, "***") if len(user) > len(":***") else text
    return text


def in_own_words(error: BaseException) -> str:
    """An error as a user reads it, redacted: ours as it stands, any other's type and words, and what caused it."""
    told: list[str] = []
    following: BaseException | None = error
    while following is not None:
        words = str(following).strip()
        if isinstance(following, UkdslError):
            # Ours name their cause themselves.
            told.append(words)
            break
        if not any(words and words in earlier for earlier in told):
            told.append(f"{type(following).__name__}: {words}" if words else type(following).__name__)
            told[-1] += "".join(f", {note}" for note in dict.fromkeys(getattr(following, "__notes__", [])))
        following = following.__cause__
    return redacted("; because of ".join(told))


@contextmanager
def noted(what: str) -> Iterator[None]:
    """Adds to an error that passes what was done, such as `while writing FILE`, for libraries that do not say it."""
    try:
        yield
    except Exception as error:
        error.add_note(what)
        raise


class UkdslError(Exception):
    """Base of every error that a user can mend; the command line prints it without a traceback."""

    def __str__(self) -> str:
        return redacted(super().__str__())


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


class OnboardingError(UkdslError):
    """Raw files cannot be read or mapped, or a project cannot be made."""


class LakeError(UkdslError):
    """A table or checkpoint could not be published or read."""


class EngineError(UkdslError):
    """Workers were lost or could not be reached, or a shard failed for another reason than its input."""


class ReleaseError(UkdslError):
    """A release cannot be withdrawn or given back."""


class TrainingError(UkdslError):
    """A model cannot be trained or has diverged."""


class ScoringError(UkdslError):
    """Candidates cannot be scored."""


class ExportError(UkdslError):
    """A student cannot be written as an ONNX file, or the file does not score as the student does."""


class PageError(UkdslError):
    """A page cannot be built of what was given."""


class RequestError(UkdslError):
    """A request of the server cannot be answered; `status` is that of HTTP, the rest says what, where and so on."""

    def __init__(self, status: int, what: str, *, where: str, seen: str, expected: str, fix: str) -> None:
        super().__init__(f"{what}: {where}: saw {seen}, expected {expected}; {fix}")
        self.status, self.what, self.where, self.seen = status, what, where, seen
        self.expected, self.fix = expected, fix


class EvidenceError(UkdslError):
    """A study cannot be measured or told."""


class RunFailedError(UkdslError):
    """A day could not be materialized; what was published before stays."""


class RunStoppedError(UkdslError):
    """Ctrl-C or SIGTERM came before all days were done; what was published stays.

    Attributes:
        left_behind: a thread of a step is in a library's code still, which Python cannot end.
    """

    def __init__(self, message: str, left_behind: bool = False) -> None:
        super().__init__(message)
        self.left_behind = left_behind


class SelectionError(UkdslError):
    """Features cannot be ranked or selected."""


class ExperimentError(UkdslError):
    """An experiment is not declared soundly, or its logs cannot be read."""


class TheoryError(UkdslError):
    """An analysis of section 3 was asked for a selection or a noise that cannot be."""
