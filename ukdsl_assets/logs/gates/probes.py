"""Whether probes stand for as many rejected rows as there are: `probe_rate` is the share that they were drawn with."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import sqrt

import polars as pl

from ukdsl_assets.declaration.cascade import Cascade
from ukdsl_assets.gates import GateResult

GATE = "probe_rates_true"
# Standard errors, and the share of the rejected rows, that may be amiss.
_ERRORS, _LITTLE = 5, 0.01


@dataclass
class ProbeCounts:
    """Of a stage: rows that it rejected, its probes, and sums over these of 1 / rate and of (1 - rate) / rate^2."""

    rejected: int = 0
    probes: int = 0
    stood_for: float = 0.0
    variance: float = 0.0


class ProbeSums:
    """Sums over the shards of a candidate log that meets the contract, for each stage that can reject."""

    def __init__(self, cascade: Cascade) -> None:
        stages = [stage.name for stage in cascade.stages[:-1]] if cascade.has_probes else []
        self._counts = {stage: ProbeCounts() for stage in stages}

    def counted(self, frame: pl.DataFrame) -> dict[str, ProbeCounts]:
        """Of a shard, by stage; nothing without probes in the contract."""
        found = {stage: ProbeCounts() for stage in self._counts}
        if not found:
            return found
        # Equal rates are one that is counted: of a log there are few, and no order of a sum decides.
        rejected = frame.lazy().filter(~pl.col("shown"), pl.col("deepest_stage").is_in([*found]))
        keys = ("deepest_stage", "probed", "probe_rate")
        counted = rejected.group_by(keys).len().sort(keys)
        for stage, probed, each, number in counted.collect().iter_rows():
            counts = found[stage]
            counts.rejected += number
            # Another gate tells of a rate that is no share.
            if probed and each is not None and 0 < each <= 1:
                counts.probes += number
                counts.stood_for += number / each
                counts.variance += number * (1 - each) / each**2
        return found

    def add(self, of_shard: Mapping[str, ProbeCounts]) -> None:
        """Add what `counted` says of a shard, after those before it."""
        for stage, added in of_shard.items():
            counts = self._counts[stage]
            counts.rejected += added.rejected
            counts.probes += added.probes
            counts.stood_for += added.stood_for
            counts.variance += added.variance

    def result(self, where: str) -> GateResult:
        """Of every stage with probes the sum of 1 / rate against the rows that it rejected; it only tells.

        A stage without a probe that day is left out: it may log none.
        """
        if not self._counts:
            return GateResult(GATE, True, f"{where}: not applicable, since the cascade logs no probes", "WARN")
        probed = {stage: counts for stage, counts in self._counts.items() if counts.probes}
        if not probed:
            return GateResult.not_judged(GATE, f"{where}: no row is a probe; see whether they were logged that day")
        off = [stage for stage, counts in probed.items() if abs(counts.stood_for - counts.rejected) > _bound(counts)]
        message = f"{where}: {'; '.join(_told(stage, probed[stage]) for stage in off or probed)}"
        if off:
            message += (
                "; log as probe_rate the share of the stage's rejected rows that was drawn, and draw them one by one, "
                "by a hash of request and candidate"
            )
        return GateResult(GATE, not off, message, "WARN", seen=_seen(probed))


def _bound(counts: ProbeCounts) -> float:
    """Five standard errors of a sum of 1 / rate, and one in a hundred of the rows.

    Of few probes the variance is as uncertain as their number: it is at least that of as many as there should be.
    """
    variance = counts.variance * max(1.0, counts.rejected / counts.stood_for)
    return _ERRORS * sqrt(variance) + _LITTLE * counts.rejected


def _told(stage: str, counts: ProbeCounts) -> str:
    return (
        f"the {counts.probes:,} probes of stage {stage} stand for {counts.stood_for:,.0f} rows (sum of 1 / rate), "
        f"expected {counts.rejected:,} +- {_bound(counts):,.0f}, which it rejected"
    )


def _seen(probed: dict[str, ProbeCounts]) -> dict[str, float]:
    figures: dict[str, float] = {}
    for stage, counts in probed.items():
        figures |= {f"{stage}: stood for": counts.stood_for, f"{stage}: rejected": counts.rejected}
    return figures
