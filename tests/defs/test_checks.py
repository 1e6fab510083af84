"""What the UI shows of a verdict and of an error."""

import errno
import resource
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path

import dagster as dg
import polars as pl
import pytest

from ukdsl_assets.defs.graph.checks import check_results, errors_as_failures, refuse_if_blocked, result
from ukdsl_assets.errors import LakeError
from ukdsl_assets.gates import GateResult, Severity
from ukdsl_assets.lake.storage import Storage
from ukdsl_assets.lake.tables.lake import Lake
from ukdsl_assets.learning.evaluation.predictions import PredictedRows, kept_on_disk

ADDRESS = "sftp://nightly:hunter2@host/logs"


def failure(error: Exception) -> dg.Failure:
    with pytest.raises(dg.Failure) as raised, errors_as_failures():
        raise error
    return raised.value


def test_an_error_that_nobody_foresaw_tells_its_words_and_may_be_tried_again() -> None:
    told = failure(OSError(errno.EROFS, "Read-only file system", "/lake/tables"))
    assert told.description == "OSError: [Errno 30] Read-only file system: '/lake/tables'"
    assert told.allow_retries
    assert isinstance(told.__cause__, OSError)


def test_an_error_that_a_user_can_mend_is_not_tried_again() -> None:
    told = failure(LakeError("no day 2026-03-01"))
    assert told.description == "no day 2026-03-01"
    assert not told.allow_retries


def test_a_failure_of_a_gate_passes_as_it_is() -> None:
    gate = dg.Failure("not published", allow_retries=False)
    assert failure(gate) is gate


@pytest.mark.parametrize("error", [ConnectionError(f"no {ADDRESS}"), OSError(errno.EIO, "broken", ADDRESS)])
def test_a_secret_reaches_neither_the_words_nor_the_stack_that_is_kept(error: Exception) -> None:
    told = failure(error)
    assert "sftp://***@host/logs" in (told.description or "")
    assert told.__cause__ is None
    assert told.__suppress_context__


def test_a_secret_below_an_error_of_ours_is_not_kept_either() -> None:
    error = LakeError("cannot be reached")
    error.__cause__ = ConnectionError(ADDRESS)
    assert failure(error).__cause__ is None


@pytest.mark.parametrize("severity", ["WARN", "ERROR"])
def test_what_was_not_judged_is_a_warning_and_never_passed(severity: Severity) -> None:
    verdict = GateResult.not_judged("kept", "eight requests", severity, {"rows": 48})
    (check,) = check_results(("shop", "click", "evaluation"), [verdict])
    assert (check.passed, check.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert check.description == "not judged: eight requests"
    assert {name: value.value for name, value in check.metadata.items()} == {"verdict": "not judged", "rows": 48}


def test_a_failed_gate_begins_with_its_own_words() -> None:
    low, keys = (GateResult(name, False, said) for name, said in (("volume", "few rows; look"), ("keys", "2 twice")))
    unjudged = GateResult.not_judged("rates", "nothing to judge", "ERROR")
    (check,) = check_results(
        ("shop", "candidate_log"), [GateResult("volume", False, "few rows; look", seen={"rows": 3})]
    )
    assert [(name, value.value) for name, value in check.metadata.items()] == [
        ("what is wrong", "few rows; look"),
        ("rows", 3),
    ]
    with pytest.raises(dg.Failure) as raised:
        refuse_if_blocked({("shop", "candidate_log"): [unjudged, low], ("shop", "event_log"): [keys]})
    assert (raised.value.description or "").splitlines() == [
        "few rows; look (gate volume of shop/candidate_log)",
        "2 twice (gate keys of shop/event_log)",
        "not published, 2 gates failed, 1 not judged; the partition stays as it was",
    ]


def test_gates_that_could_not_be_judged_are_told_where_none_failed() -> None:
    unjudged = GateResult.not_judged("rates", "nothing to judge", "ERROR")
    with pytest.raises(dg.Failure, match=r"^not judged: nothing to judge \(gate rates of shop/labels\)\nnot published"):
        refuse_if_blocked({("shop", "labels"): [unjudged]})
    refuse_if_blocked({("shop", "labels"): [GateResult.not_judged("rates", "nothing to judge", "WARN")]})


def test_no_secret_stands_in_metadata_or_verdicts() -> None:
    shown = {"text": ADDRESS, "url": dg.MetadataValue.url(ADDRESS), "path": dg.MetadataValue.path(ADDRESS), "rows": 3}
    metadata = result(("shop", "impressions"), "v", shown).metadata or {}
    assert "hunter2" not in str(metadata)
    assert metadata["rows"] == 3
    verdict = GateResult("readable", False, f"{ADDRESS}/part-0.parquet is cut", seen={"file": ADDRESS})
    (check,) = check_results(("shop", "candidate_log"), [verdict])
    assert check.description == "sftp://***@host/logs/part-0.parquet is cut"
    assert "hunter2" not in str(check.metadata)


@contextmanager
def no_room() -> Iterator[None]:
    """No file of this process grows beyond a thousand bytes, as if the disk were full."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_full_disk_is_told_with_the_file_that_was_being_written(tmp_path: Path) -> None:
    frame, storage = pl.DataFrame({"a": range(100_000)}), Storage(str(tmp_path))
    writers: dict[str, Callable[[], object]] = {
        "day=2026-03-01/shard-00000-of-00001": lambda: Lake(str(tmp_path)).write_shard(
            ("shop", "impressions"), date(2026, 3, 1), 0, 1, frame
        ),
        "report.html": lambda: storage.write(storage.path("report.html"), b"x" * 100_000),
        "kept.parquet": lambda: kept_on_disk(PredictedRows(frame, {}), tmp_path / "kept.parquet"),
    }
    for name, write in writers.items():
        with pytest.raises(dg.Failure) as raised, no_room(), errors_as_failures():
            write()
        told = raised.value.description or ""
        assert "File too large" in told
        assert f"while writing {tmp_path}" in told
        assert name in told
