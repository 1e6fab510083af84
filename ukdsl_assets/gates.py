"""The verdict of one quality gate, free of Dagster, so that the core can judge and `defs/` can show."""

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Literal, Self

NOT_JUDGED = "not judged"
# ERROR keeps a partition from being published, or a student from being released; WARN only tells.
Severity = Literal["ERROR", "WARN"]

_IF_IT_FAILS = " If it fails: "


def demand(what: str, fix: str) -> str:
    """The text of a gate in a room's `RULES`: what it demands, and what to do when it fails.

    The UI shows it beside the gate, and the reference of gates is made of it. A gate that never blocks says
    "only told" in `what`.
    """
    return f"{what}{_IF_IT_FAILS}{fix}"


def demand_and_fix(text: str) -> tuple[str, str]:
    """Both parts of a `demand`; the second is empty where a text does not say what to do."""
    what, _, fix = text.partition(_IF_IT_FAILS)
    return what, fix


@dataclass(frozen=True)
class GateResult:
    """One rule applied to one partition.

    Attributes:
        name: the rule, a lower_snake_case identifier; the name of the asset check.
        passed: whether the rule held.
        message: one sentence for people: what was seen, what was expected and, on failure, where and the fix.
        severity: "ERROR" keeps the partition from being published, "WARN" only tells.
        seen: the figures behind the verdict (str, int, float, bool or None), shown as metadata.
        judged: False where there was too little to judge by. Such a rule has not passed: with severity ERROR nothing
            moves, as with one that failed, and with WARN it only tells.
    """

    name: str
    passed: bool
    message: str
    severity: Severity = "ERROR"
    seen: dict[str, Any] = field(default_factory=dict)
    judged: bool = True

    @classmethod
    def not_judged(
        cls, name: str, message: str, severity: Severity = "WARN", seen: dict[str, Any] | None = None
    ) -> Self:
        """The verdict of a rule that had too little to judge by; the message says so first, then what would do."""
        return cls(name, False, f"not judged: {message}", severity, seen or {}, judged=False)

    @property
    def blocks(self) -> bool:
        """True for a rule of severity ERROR that failed or was not judged."""
        return not self.passed and self.severity == "ERROR"

    @property
    def verdict(self) -> str:
        """In words: passed, failed, warns only (it failed and does not block) or not judged."""
        if not self.judged:
            return NOT_JUDGED
        return "passed" if self.passed else "failed" if self.blocks else "warns only"


def blocking(results: Iterable[GateResult]) -> list[GateResult]:
    """The results that forbid publication, in order; empty when everything may go out."""
    return [result for result in results if result.blocks]


def finite(value: float) -> float | None:
    """JSON and the UI know no NaN."""
    return value if math.isfinite(value) else None
