"""The verdict of one quality gate, free of Dagster, so that the core can judge and `defs/` can show."""

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Literal


@dataclass(frozen=True)
class GateResult:
    """One rule applied to one partition.

    Attributes:
        name: the rule, a lower_snake_case identifier; the name of the asset check.
        passed: whether the rule held.
        message: one sentence for people: what was seen, what was expected and, on failure, where and the fix.
        severity: "ERROR" keeps the partition from being published, "WARN" only tells.
        seen: the figures behind the verdict (str, int, float, bool or None), shown as metadata.
    """

    name: str
    passed: bool
    message: str
    severity: Literal["ERROR", "WARN"] = "ERROR"
    seen: dict[str, Any] = field(default_factory=dict)

    @property
    def blocks(self) -> bool:
        """True for a failed rule of severity ERROR."""
        return not self.passed and self.severity == "ERROR"


def blocking(results: Iterable[GateResult]) -> list[GateResult]:
    """The results that forbid publication, in order; empty when everything may go out."""
    return [result for result in results if result.blocks]


def finite(value: float) -> float | None:
    """JSON and the UI know no NaN."""
    return value if math.isfinite(value) else None
