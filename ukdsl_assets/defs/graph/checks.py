"""Gate verdicts as Dagster asset checks, and publication that hangs on them."""

import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import dagster as dg

from ukdsl_assets.declaration.cascade import Cascade
from ukdsl_assets.defs.graph.keys import daily
from ukdsl_assets.errors import UkdslError
from ukdsl_assets.gates import GateResult, blocking
from ukdsl_assets.pipeline.workspace import Table


def check_specs(
    cascade: Cascade, table: Table, rules: Mapping[str, str], blocking: bool = True
) -> list[dg.AssetCheckSpec]:
    """One check a rule, with the asset's partitions; `rules` maps its name to what it demands."""
    with warnings.catch_warnings():
        # Partitioned checks are in preview; the version of Dagster is pinned and a test looks at the partition.
        warnings.simplefilter("ignore", dg.PreviewWarning)
        return [
            dg.AssetCheckSpec(
                name,
                asset=dg.AssetKey(table),
                description=demands,
                blocking=blocking,
                partitions_def=daily(cascade),
            )
            for name, demands in rules.items()
        ]


def check_results(table: Table, results: Iterable[GateResult]) -> Iterator[dg.AssetCheckResult]:
    """Verdicts as Dagster shows them."""
    for result in results:
        yield dg.AssetCheckResult(
            asset_key=dg.AssetKey(table),
            check_name=result.name,
            passed=result.passed,
            severity=dg.AssetCheckSeverity[result.severity],
            description=result.message,
            metadata={name: value for name, value in result.seen.items() if value is not None},
        )


def refuse_if_blocked(judged: Mapping[Table, Sequence[GateResult]]) -> None:
    """Raise a failure that names every gate that forbids publication; what was published stays as it was."""
    lines = [
        f"  {'/'.join(table)}, {failed.name}: {failed.message}"
        for table, results in judged.items()
        for failed in blocking(results)
    ]
    if lines:
        message = "\n".join([f"not published, {len(lines)} gate(s) failed; the partition stays as it was", *lines])
        raise dg.Failure(message, allow_retries=False)


@contextmanager
def errors_as_failures() -> Iterator[None]:
    """Errors that a user can mend become failures with their message, which no retry would help."""
    try:
        yield
    except UkdslError as error:
        raise dg.Failure(str(error), allow_retries=False) from error


def result(table: Table, data_version: str, metadata: Mapping[str, Any]) -> dg.MaterializeResult:
    """A materialization with its data version."""
    return dg.MaterializeResult(
        asset_key=dg.AssetKey(table), data_version=dg.DataVersion(data_version), metadata=metadata
    )
