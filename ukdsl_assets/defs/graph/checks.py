"""Gate verdicts as Dagster asset checks, and publication that hangs on them."""

import time
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import dagster as dg

from ukdsl_assets.declaration.cascade import Cascade
from ukdsl_assets.defs.graph.keys import asset_key, daily
from ukdsl_assets.errors import UkdslError, in_own_words, redacted
from ukdsl_assets.gates import GateResult, blocking
from ukdsl_assets.pipeline.workspace import Table

# Of the step that this process is at, by the monotonic clock.
_STEP_BEGAN: ContextVar[float] = ContextVar("step began")


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
                asset=asset_key(table),
                description=demands,
                blocking=blocking,
                partitions_def=daily(cascade),
            )
            for name, demands in rules.items()
        ]


def check_results(table: Table, results: Iterable[GateResult]) -> Iterator[dg.AssetCheckResult]:
    """Verdicts as Dagster shows them."""
    for result in results:
        seen = _told_first(result) | result.seen
        yield dg.AssetCheckResult(
            asset_key=asset_key(table),
            check_name=result.name,
            passed=result.passed,
            # Dagster knows no third state: what was not judged is a warning, and is called so.
            severity=dg.AssetCheckSeverity[result.severity if result.judged else "WARN"],
            description=redacted(result.message),
            metadata=_shown({name: value for name, value in seen.items() if value is not None}),
        )


def _told_first(result: GateResult) -> dict[str, Any]:
    """What stands before a verdict's figures: the gate's own words where it failed, and that it was not judged."""
    if not result.judged:
        return {"verdict": result.verdict}
    return {} if result.passed else {"what is wrong": result.message}


def refuse_if_blocked(judged: Mapping[Table, Sequence[GateResult]]) -> None:
    """Raise a failure that begins with the words of the first gate that failed, and then of every other.

    Gates that could not be judged are counted beside those that failed, and told alone where none did. What was
    published stays as it was.
    """
    blocked = [(table, each) for table, results in judged.items() for each in blocking(results)]
    failed = [(table, each) for table, each in blocked if each.judged]
    if blocked:
        lines = [f"{each.message} (gate {each.name} of {'/'.join(table)})" for table, each in failed or blocked]
        counted = [f"{len(failed)} gate{'s' if len(failed) > 1 else ''} failed"] if failed else []
        counted += [f"{len(blocked) - len(failed)} not judged"] if len(blocked) > len(failed) else []
        lines.append(f"not published, {', '.join(counted)}; the partition stays as it was")
        raise dg.Failure(redacted("\n".join(lines)), allow_retries=False)


@contextmanager
def errors_as_failures() -> Iterator[None]:
    """Every error becomes a failure with its own words, which the terminal and the UI show first.

    Those that a user can mend are helped by no retry. An error whose words hold a secret leaves its stack behind:
    Dagster would keep the words with it.
    """
    _STEP_BEGAN.set(time.monotonic())
    try:
        yield
    except dg.Failure:
        raise
    except Exception as error:
        words = in_own_words(error)
        kept = error if not _tells_a_secret(error) else None
        raise dg.Failure(words, allow_retries=not isinstance(error, UkdslError)) from kept


def result(table: Table, data_version: str, metadata: Mapping[str, Any]) -> dg.MaterializeResult:
    """A materialization with its data version and how many `seconds` its step took so far.

    Secrets of addresses in its metadata are left out, and its figures are rounded.
    """
    shown = _shown({**metadata, "seconds": time.monotonic() - _STEP_BEGAN.get(time.monotonic())})
    return dg.MaterializeResult(asset_key=asset_key(table), data_version=dg.DataVersion(data_version), metadata=shown)


def _shown(metadata: Mapping[str, Any]) -> dict[str, Any]:
    return {name: _redacted_value(value) for name, value in metadata.items()}


def _redacted_value(value: Any) -> Any:
    if isinstance(value, float):
        # Four digits are what people read; the tables hold the others.
        return float(f"{value:.4g}")
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
