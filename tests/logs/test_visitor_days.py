"""Sums of logs by visitor and day: pages, candidates and the contract's logs say the same; odd files are told."""

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from ukdsl_assets.errors import ExperimentError
from ukdsl_assets.logs.visitor_days import PageColumns, distinct_visitors, visitor_days

START = datetime(2026, 1, 1, 22, tzinfo=UTC)
# Two candidates a page; page 3 is on the next day, and its visitor is the one of page 0.
CANDIDATES = pl.DataFrame(
    {
        "request_id": [0, 0, 1, 1, 2, 2, 3, 3],
        "candidate_id": [7, 8, 7, 8, 7, 8, 7, 8],
        "user": [5, 5, 6, 6, 6, 6, 5, 5],
        "variant": ["a", "a", "b", "b", "b", "b", "a", "a"],
        "requested_at": [START + timedelta(hours=hour) for hour in (0, 0, 0, 0, 1, 1, 3, 3)],
        "click": [True, False, None, False, True, True, False, False],
        "buy": [0.0, 0, 0, 0, 2.5, 0, 0, 0],
    }
)
EVENTS = pl.DataFrame(
    {
        "request_id": [0, 0, 2, 2, 2, 2, 9],
        "candidate_id": [7, 7, 7, 7, 8, 7, 7],
        "event": ["impression", "click", "click", "click", "click", "buy", "click"],
    }
)
COLUMNS = PageColumns("user", ("click",), arm="variant")
EXPECTED = pl.DataFrame(
    {
        "visitor": ["5", "5", "6"],
        "arm": ["a", "a", "b"],
        "day": [date(2026, 1, 1), date(2026, 1, 2), date(2026, 1, 1)],
        "pages": [1, 1, 2],
        "click": [1.0, 0.0, 2.0],
    }
)


def written(folder: Path, frame: pl.DataFrame, name: str = "log.parquet") -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    frame.write_csv(path) if name.endswith(".csv") else frame.write_parquet(path)
    return path


@pytest.mark.parametrize("name", ["log.parquet", "log.csv"])
def test_candidates_are_counted_as_pages(tmp_path: Path, name: str) -> None:
    log = written(tmp_path, CANDIDATES, name)
    assert visitor_days(log, COLUMNS).equals(EXPECTED)
    both = visitor_days(log, PageColumns("user", ("buy", "click")))
    assert both.columns == ["visitor", "day", "pages", "buy", "click"]
    assert both["buy"].to_list() == [0.0, 0.0, 2.5]


def test_a_row_a_page_says_the_same(tmp_path: Path) -> None:
    pages = CANDIDATES.group_by("request_id", "user", "variant", "requested_at").agg(pl.col("click").sum())
    log = written(tmp_path, pages.drop("request_id").with_columns(pl.col("requested_at").dt.date().alias("when")))
    named = PageColumns("user", ("click",), arm="variant", day="when")
    assert visitor_days(log, named).equals(EXPECTED)


def test_events_are_counted_once_a_candidate_and_only_of_these_pages(tmp_path: Path) -> None:
    folder = written(tmp_path, CANDIDATES.drop("click", "buy"), "candidate_log/day=2026-01-01/part.parquet").parents[1]
    events = written(tmp_path, EVENTS, "event_log/day=2026-01-01/part.parquet").parents[1]
    assert visitor_days(folder, COLUMNS, events).equals(EXPECTED)
    bought = visitor_days(folder, PageColumns("user", ("buy", "click")), events)
    assert bought["buy"].to_list() == [0.0, 0.0, 1.0]


def test_texts_and_numbers_are_the_same_pages_and_visitors(tmp_path: Path) -> None:
    log = written(tmp_path, CANDIDATES.with_columns(pl.col("request_id", "user").cast(pl.String)))
    assert visitor_days(log, COLUMNS, written(tmp_path, EVENTS, "events.csv")).equals(EXPECTED)
    assert distinct_visitors(log, "user").to_list() == ["5", "6"]


def test_rows_without_a_page_are_refused_beside_an_event_log_too(tmp_path: Path) -> None:
    log = written(tmp_path, CANDIDATES.with_columns(request_id=pl.lit(None, pl.Int64)))
    events = tmp_path / "events.parquet"
    pl.DataFrame({"request_id": [1], "candidate_id": [1], "event": ["click"]}).write_parquet(events)
    with pytest.raises(ExperimentError, match="without a page in column `request_id`"):
        visitor_days(log, COLUMNS, events)


@pytest.mark.parametrize(
    ("frame", "columns", "told"),
    [
        (CANDIDATES, PageColumns("usr", ("click",)), "no column `usr`; did you mean `user`"),
        (CANDIDATES, PageColumns("user", ("clicks",)), "no column `clicks`; did you mean `click`"),
        (CANDIDATES, PageColumns("user", ("click",), arm="arm"), "no column `arm`"),
        (CANDIDATES.with_columns(pl.col("user").cast(pl.Float64)), COLUMNS, "7.0 would be another visitor than 7"),
        (CANDIDATES.with_columns(user=pl.Series(["", ""] + ["x"] * 6)), COLUMNS, "1 of 4 pages have no visitor"),
        (CANDIDATES, PageColumns("user", ("variant",)), "`variant` is String, expected numbers or booleans"),
        (CANDIDATES, PageColumns("user", ("click",), day="user"), "`user` is Int64, expected dates"),
        (CANDIDATES.head(0), COLUMNS, "no row"),
        (CANDIDATES.with_columns(user=pl.Series([None] * 2 + [6] * 6)), COLUMNS, "1 of 4 pages have no visitor"),
        (CANDIDATES.with_columns(variant=pl.Series([None] * 2 + ["b"] * 6)), COLUMNS, "1 of 4 pages have no arm"),
        (CANDIDATES.with_columns(request_id=pl.lit(None, pl.Int64)), COLUMNS, r"8 row\(s\) without a page in"),
        (CANDIDATES.with_columns(buy=float("nan")), PageColumns("user", ("buy",)), "no finite numbers"),
        (CANDIDATES.with_columns(click=False), COLUMNS, "no outcome at all in click"),
    ],
)
def test_odd_logs_are_told(tmp_path: Path, frame: pl.DataFrame, columns: PageColumns, told: str) -> None:
    log = written(tmp_path, frame)
    with pytest.raises(ExperimentError, match=told) as raised:
        visitor_days(log, columns)
    assert str(log) in str(raised.value)


def test_odd_files_are_told(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    broken = tmp_path / "broken.parquet"
    broken.write_bytes(b"PAR1 no")
    (tmp_path / "none.csv").write_bytes(b"")
    for name, told in (
        ("empty", "has no Parquet file"),
        ("nowhere.parquet", "is not there"),
        ("broken.parquet", "cannot be read"),
        ("none.csv", "cannot be read"),
    ):
        with pytest.raises(ExperimentError, match=told):
            visitor_days(tmp_path / name, COLUMNS)
    with pytest.raises(ExperimentError, match="expected a name that ends in"):
        visitor_days(written(tmp_path, CANDIDATES, "log.txt"), COLUMNS)
    log = written(tmp_path, CANDIDATES)
    with pytest.raises(ExperimentError, match="no column event"):
        visitor_days(log, COLUMNS, written(tmp_path, EVENTS.drop("event"), "events.parquet"))
    with pytest.raises(ExperimentError, match="no outcome at all"):
        visitor_days(log, COLUMNS, written(tmp_path, EVENTS.with_columns(request_id=99), "others.parquet"))


def test_ids_of_a_csv_file_stay_as_they_are_written(tmp_path: Path) -> None:
    (tmp_path / "log.csv").write_text("user,click\n007,1\n7,0\n1e3,1\n")
    assert visitor_days(tmp_path / "log.csv", PageColumns("user", ("click",)))["visitor"].to_list() == [
        "007",
        "1e3",
        "7",
    ]
    assert distinct_visitors(tmp_path / "log.csv", "user").to_list() == ["007", "1e3", "7"]
    (tmp_path / "log.csv").write_text("user,click\n,1\n7,0\n")
    with pytest.raises(ExperimentError, match="1 of 2 pages have no visitor"):
        visitor_days(tmp_path / "log.csv", PageColumns("user", ("click",)))


@pytest.mark.parametrize("metrics", [(), ("click", "click"), ("pages",), ("visitor", "click")])
def test_metrics_are_each_named_once(metrics: tuple[str, ...]) -> None:
    with pytest.raises(ExperimentError, match="--metric: saw"):
        PageColumns("user", metrics)
