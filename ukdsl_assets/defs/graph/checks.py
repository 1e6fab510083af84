"""Gate verdicts as Dagster asset checks, and publication that hangs on them."""

import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import dagster as dg

from ukdsl_assets.declaration.cascade import Cascade
from ukdsl_assets.defs.graph.keys import daily
from ukdsl_assets.errors import UkdslError, in_own_words, redacted
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
        seen = result.seen if result.judged else {"verdict": result.verdict, **result.seen}
        yield dg.AssetCheckResult(
            asset_key=dg.AssetKey(table),
            check_name=result.name,
            passed=result.passed,
            # Dagster knows no third state: what was not judged is a warning, and is called so.
            severity=dg.AssetCheckSeverity[result.severity if result.judged else "WARN"],
            description=redacted(result.message),
            metadata=_shown({name: value for name, value in seen.items() if value is not None}),
        )


def refuse_if_blocked(judged: Mapping[Table, Sequence[GateResult]]) -> None:
    """Raise a failure that names every gate that forbids publication; what was published stays as it was."""
    lines = [
        f"  {'/'.join(table)}, {failed.name}: {failed.message}"
        for table, results in judged.items()
        for failed in blocking(results)
    ]
    if lines:
        said = f"not published, {len(lines)} gate(s) failed; the partition stays as it was"
        message = redacted("\n".join([said, *lines]))
        raise dg.Failure(message, allow_retries=False)


@contextmanager
def errors_as_failures() -> Iterator[None]:
    """Every error becomes a failure with its own words, which the terminal and the UI show first.

    Those that a user can mend are helped by no retry. An error whose words hold a secret leaves its stack behind:
    Dagster would keep the words with it.
    """
    try:
        yield
    except dg.Failure:
        raise
    except Exception as error:
        words = in_own_words(error)
        kept = error if not _tells_a_secret(error) else None
        raise dg.Failure(words, allow_retries=not isinstance(error, UkdslError)) from kept


def result(table: Table, data_version: str, metadata: Mapping[str, Any]) -> dg.MaterializeResult:
    """A materialization with its data version; secrets of addresses in its metadata are left out."""
    return dg.MaterializeResult(
        asset_key=dg.AssetKey(table), data_version=dg.DataVersion(data_version), metadata=_shown(metadata)
    )


def _shown(metadata: Mapping[str, Any]) -> dict[str, Any]:
    return {name: _redacted_value(value) for name, value in metadata.items()}


def _redacted_value(value: Any) -> Any:
    if isinstance(value, str):
        return redacted(value)
    if isinstance(value, dg.TextMetadataValue | dg.UrlMetadataValue | dg.PathMetadataValue):
        return type(value)(redacted(str(value.value)))
    return value


def _tells_a_secret(error: BaseException) -> bool:
    """Whether the words of an error, or of one that came before it, hold what `redacted` leaves out."""
    before = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    # Our own errors are redacted as text; only the text of an error of the system names its file.
    words = " ".join(map(str, (error, *error.args)))
    return redacted(words) != words or (before is not None and _tells_a_secret(before))
