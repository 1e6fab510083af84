"""A project made of raw files in each format: its logs are what the files say, and the gates find them sound."""

import subprocess
import sys
from datetime import date, timedelta
from pathlib import Path

import polars as pl
import pytest

from tests.fixtures.raw_logs import FIRST, raw_logs, write_raw
from ukdsl_assets.declaration.read import read_cascade
from ukdsl_assets.declaration.sound import sound_cascades
from ukdsl_assets.errors import OnboardingError
from ukdsl_assets.onboarding.project import NewProject, check_name, make_project
from ukdsl_assets.onboarding.raw import find_raw_files

DAY = FIRST.date()
RAW, CLICKS = raw_logs(requests=160)


def in_form(frame: pl.DataFrame, column: str, suffix: str) -> pl.DataFrame:
    """A frame with the times of this column as files of a format have them: three differ."""
    if suffix == ".csv":
        return frame.with_columns(pl.col(column).dt.epoch("ms"))
    return frame.with_columns(pl.col(column).dt.replace_time_zone(None)) if suffix == ".feather" else frame


def made_of(folder: Path, suffix: str) -> NewProject:
    raw = write_raw(in_form(RAW, "logged_at", suffix), folder / f"scored{suffix}")
    clicks = write_raw(in_form(CLICKS, "happened_at", suffix), folder / f"clicks{suffix}")
    files = find_raw_files(str(raw), "--candidates"), find_raw_files(str(clicks), "--events")
    return make_project("shop", folder, *files)


def run_mapping(project: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "mapping.py", *arguments]
    return subprocess.run(command, cwd=project, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("suffix", [".parquet", ".csv", ".jsonl", ".feather"])
def test_raw_files_become_logs_that_pass_the_gates(suffix: str, tmp_path: Path) -> None:
    made = made_of(tmp_path, suffix)
    assert made.failed == []
    assert made.folder == tmp_path / "shop"
    assert list(made.full) == [DAY, DAY + timedelta(days=1)]
    assert made.day == DAY + timedelta(days=1)
    cascades, wrong = sound_cascades(made.folder / "cascades")
    assert not wrong
    assert cascades["shop"].first_day == DAY
    assert cascades["shop"].student("pre_ranking_click").teacher == "ranking_logged"
    log = pl.read_parquet(made.folder / "logs" / "candidate_log", hive_partitioning=False)
    expected = RAW.sort("query_id", "product_id")
    log = log.sort("request_id", "candidate_id")
    assert log["request_id"].to_list() == expected["query_id"].to_list()
    assert log["requested_at"].to_list() == expected["logged_at"].to_list()
    assert log["shown"].to_list() == expected["displayed"].to_list()
    assert log["ranking_click_prediction"].is_null().to_list() == expected["l2_score"].is_null().to_list()
    assert (log["deepest_stage"] == "ranking").to_list() == expected["l2_score"].is_not_null().to_list()
    assert ("tags" in log.columns) == (suffix != ".csv")
    happened = pl.read_parquet(made.folder / "logs" / "event_log", hive_partitioning=False)
    assert sorted(happened["occurred_at"]) == sorted(CLICKS["happened_at"])
    # No zone was said in one of the formats.
    assert ("ZONE" in (made.folder / "mapping.py").read_text()) == (suffix == ".feather")
    assert sorted(path.name for path in tmp_path.iterdir()) == [f"clicks{suffix}", f"scored{suffix}", "shop"]


def test_the_mapping_is_run_again_for_new_days_and_late_events(tmp_path: Path) -> None:
    late = CLICKS.with_columns(pl.col("happened_at") + timedelta(hours=9))[:5]
    # The second day comes later, and with it an event of the first one's requests.
    second = pl.col("logged_at").dt.date() > DAY
    first = write_raw(RAW.filter(~second), tmp_path / "first.parquet")
    clicks = write_raw(CLICKS, tmp_path / "clicks.parquet")
    files = find_raw_files(str(first), "--candidates"), find_raw_files(str(clicks), "--events")
    made = make_project("shop", tmp_path, *files)
    log, happened = (made.folder / "logs" / name / f"day={DAY}" for name in ("candidate_log", "event_log"))
    before = [pl.read_parquet(folder / "part-0.parquet") for folder in (log, happened)]
    again = write_raw(RAW.filter(second), tmp_path / "second.parquet")
    with_late = write_raw(pl.concat([CLICKS, late]), tmp_path / "late.parquet")
    for _ in range(2):
        done = run_mapping(made.folder, "--candidates", str(again), "--events", str(with_late))
        assert done.returncode == 0, done.stderr
    assert pl.read_parquet(log / "part-0.parquet").equals(before[0])
    assert pl.read_parquet(happened / "part-0.parquet").height == before[1].height + 5
    assert (made.folder / "logs" / "event_log" / f"day={DAY + timedelta(days=1)}" / "part-0.parquet").is_file()
    twice = write_raw(pl.concat([RAW, RAW[:2]]), tmp_path / "twice.parquet")
    refused = run_mapping(made.folder, "--candidates", str(twice), "--events", str(clicks))
    assert refused.returncode == 1
    assert "2 rows have a request and candidate that another row has" in refused.stderr


def test_lost_flags_stay_null_and_a_new_feature_does_not_stop_late_events(tmp_path: Path) -> None:
    made = made_of(tmp_path, ".parquet")
    script = made.folder / "mapping.py"
    with_feature = script.read_text().replace("        fresh=", "        pages=pl.lit(1.0),\n        fresh=")
    script.write_text(with_feature)
    # The second day once more, with the new feature, and half of its flags lost.
    second = RAW.filter(pl.col("logged_at").dt.date() > DAY)
    lost = pl.when(pl.int_range(pl.len()) % 2 == 0).then("displayed")
    raw = write_raw(second.with_columns(lost), tmp_path / "second.parquet")
    done = run_mapping(made.folder, "--candidates", str(raw), "--events", str(tmp_path / "clicks.parquet"))
    assert done.returncode == 0, done.stderr
    log = pl.read_parquet(made.folder / "logs" / "candidate_log" / f"day={DAY + timedelta(days=1)}" / "*.parquet")
    assert log["shown"].null_count() == second.height // 2
    assert "pages" in log.columns
    assert "%, look: " in done.stderr


def test_what_is_there_is_not_touched(tmp_path: Path) -> None:
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop" / "mine.txt").write_text("mine")
    raw = find_raw_files(str(write_raw(RAW, tmp_path / "scored.parquet")), "--candidates")
    with pytest.raises(OnboardingError, match=r"is there already.*nothing in it was changed"):
        make_project("shop", tmp_path, raw, None)
    assert [path.name for path in (tmp_path / "shop").iterdir()] == ["mine.txt"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["scored.parquet", "shop"]


def test_a_mapping_that_fails_leaves_nothing_behind(tmp_path: Path) -> None:
    # The second file has a text where the first has a number: beyond what the types of the first rows say.
    (tmp_path / "raw").mkdir()
    for name, frame in (("a", RAW), ("b", RAW.with_columns(pl.col("list_price").cast(pl.String) + " EUR"))):
        write_raw(frame, tmp_path / "raw" / f"{name}.csv")
    raw = find_raw_files(str(tmp_path / "raw"), "--candidates")
    clicks = find_raw_files(str(write_raw(CLICKS, tmp_path / "clicks.csv")), "--events")
    with pytest.raises(OnboardingError):
        make_project("shop", tmp_path, raw, clicks)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["clicks.csv", "raw"]


@pytest.mark.parametrize(
    "name",
    [
        "Shop",
        "my-shop",
        "1st",
        "a__b",
        "",
        "a/b",
        "../x",
        "shop\n",
        "no",
        "null",
        "x" * 49,
        "simulated_ads",
        "evidence",
    ],
)
def test_names_that_a_cascade_may_not_have_are_refused(name: str) -> None:
    with pytest.raises(OnboardingError):
        check_name(name)


def test_a_name_near_to_a_wrong_one_is_proposed() -> None:
    with pytest.raises(OnboardingError, match=r"e\.g\. naive_shop$"):
        check_name("Naïve Shop")


def test_a_place_where_nothing_can_be_made_is_told(tmp_path: Path) -> None:
    if not Path("/proc").is_dir():
        pytest.skip("needs a folder in which nobody can write")
    raw = find_raw_files(str(write_raw(RAW, tmp_path / "scored.parquet")), "--candidates")
    clicks = find_raw_files(str(write_raw(CLICKS, tmp_path / "clicks.parquet")), "--events")
    with pytest.raises(OnboardingError, match=r"^/proc: no folder can be made there"):
        make_project("shop", Path("/proc"), raw, clicks)


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("empty.csv", b"", r"empty\.csv: holds nothing, 0 bytes; expected UTF-8 text with commas"),
        ("empty.parquet", b"", r"empty\.parquet: holds nothing, 0 bytes; expected a whole Parquet file"),
        ("header.csv", b"a,b\n", r"header\.csv: no rows; expected some below the header"),
        ("latin.csv", "a,b\n1,Köln\n".encode("latin-1"), r"latin\.csv: cannot be read as csv.*expected UTF-8.*iconv"),
        ("wide.csv", "a,b\n1,2\n".encode("utf-16"), r"its first column is called .*; expected UTF-8"),
        ("other.csv", b"a;b\n1;2\n", r"its first column is called 'a;b'; expected UTF-8 text with commas"),
        ("other.tsv", b"a,b\n1,2\n", r"its first column is called 'a,b'; expected UTF-8 text with tabs"),
        ("ragged.csv", b"a,b\n1,2\n1,2,3\n", r"expected UTF-8 .* as many columns on each line"),
        ("array.json", b'[{"a": 1}, {"a": 2}]', r"expected one JSON object on each line.*jq -c"),
        ("blank.jsonl", b"\n\n", r"blank\.jsonl: cannot be read as ndjson.*expected one JSON object on each line"),
        ("old.feather", b"FEA1xxxxFEA1", r"cannot be read as feather.*expected a whole file of Arrow"),
    ],
)
def test_a_file_that_is_not_what_its_name_says_is_told_with_what_to_do(
    name: str, content: bytes, words: str, tmp_path: Path
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(OnboardingError, match=f"(?s){words}") as told:
        find_raw_files(str(tmp_path / name), "--candidates").sample()
    assert "truncate_ragged_lines" not in str(told.value)


def test_events_of_other_requests_are_told_with_ids_of_both(tmp_path: Path) -> None:
    others = CLICKS.with_columns(query_id=pl.lit("other-") + pl.col("query_id"))
    raw = find_raw_files(str(write_raw(RAW, tmp_path / "scored.parquet")), "--candidates")
    clicks = find_raw_files(str(write_raw(others, tmp_path / "clicks.parquet")), "--events")
    with pytest.raises(OnboardingError, match=r"none of its clicks is of a shown candidate .* 'other-q.* 'q\d+' here"):
        make_project("shop", tmp_path, raw, clicks)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["clicks.parquet", "scored.parquet"]


def test_requests_without_a_time_are_counted(tmp_path: Path) -> None:
    first = RAW["query_id"][0]
    untimed = RAW.with_columns(pl.when(pl.col("query_id") != first).then("logged_at"))
    raw = find_raw_files(str(write_raw(untimed, tmp_path / "scored.parquet")), "--candidates")
    clicks = find_raw_files(str(write_raw(CLICKS, tmp_path / "clicks.parquet")), "--events")
    with pytest.raises(OnboardingError, match=r"12 of [\d,]+ rows have no time of their request; leave them out"):
        make_project("shop", tmp_path, raw, clicks)


def test_what_is_not_found_is_told_with_the_files_that_were_looked_at(tmp_path: Path) -> None:
    raw = find_raw_files(str(write_raw(RAW.drop("logged_at"), tmp_path / "scored.parquet")), "--candidates")
    with pytest.raises(OnboardingError, match=r"no column of times.*Looked at .*scored\.parquet$"):
        make_project("shop", tmp_path, raw, None)


def test_files_are_a_file_a_folder_or_a_pattern_of_one_format(tmp_path: Path) -> None:
    for place in ("a.csv", "b.csv", "_half.csv", "notes.txt", "deeper/c.csv"):
        (tmp_path / place).parent.mkdir(exist_ok=True)
        (tmp_path / place).write_text("x\n1\n")
    names = [path.name for path in find_raw_files(str(tmp_path), "--candidates").files]
    assert names == ["a.csv", "b.csv", "c.csv"]
    assert len(find_raw_files(f"{tmp_path}/[ab].csv", "--candidates").files) == 2
    assert find_raw_files(str(tmp_path / "a.csv"), "--candidates").sample().height == 1
    with pytest.raises(OnboardingError, match=r"no file to read.*\.parquet"):
        find_raw_files(str(tmp_path / "notes.txt"), "--candidates")
    with pytest.raises(OnboardingError, match="there is nothing"):
        find_raw_files(str(tmp_path / "none"), "--candidates")
    (tmp_path / "d.parquet").write_bytes(b"no parquet")
    with pytest.raises(OnboardingError, match=r"several formats, csv and parquet"):
        find_raw_files(str(tmp_path), "--candidates")
    with pytest.raises(OnboardingError, match=r"d\.parquet: cannot be read as parquet"):
        find_raw_files(str(tmp_path / "d.parquet"), "--candidates").sample()


def test_a_declaration_of_one_stage_is_taught_by_trees(tmp_path: Path) -> None:
    raw = find_raw_files(str(write_raw(RAW.drop("l2_score"), tmp_path / "scored.parquet")), "--candidates")
    clicks = find_raw_files(str(write_raw(CLICKS, tmp_path / "clicks.parquet")), "--events")
    made = make_project("shop", tmp_path, raw, clicks)
    cascade = read_cascade(made.folder / "cascades" / "shop.yaml")
    assert [stage.name for stage in cascade.stages] == ["pre_ranking"]
    assert cascade.teachers[0].kind == "trained"
    assert made.failed == []
    assert cascade.first_day == date(2026, 3, 1)
