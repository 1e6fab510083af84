"""`ukdsl experiment` as a person types it: arms, a plan, a verdict in 80 columns, JSON, and words for odd inputs."""

import json
from pathlib import Path

import polars as pl
import pytest

from tests.experiments.test_reading import HALVES, pages
from tests.fixtures.command_line import Command

SHARES = ("--shares", "static=0.5,students=0.5")
COLUMNS = ("--visitor", "visitor", "--metric", "click", "--day", "day")


@pytest.fixture(scope="module")
def logs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("logs")
    rows = pages(1, 0.6).drop("pages")
    rows.write_parquet(folder / "pages.parquet")
    for arm in HALVES.shares:
        rows.filter(arm=arm).drop("arm").write_csv(folder / f"{arm}.csv")
    early = pages(1).drop("pages", "arm").with_columns(pl.col("day").dt.offset_by("-20d"))
    early.write_parquet(folder / "before.parquet")
    return folder


def test_arms_are_told_one_by_one_and_of_a_file(ukdsl: Command, logs: Path, tmp_path: Path) -> None:
    told = ukdsl("experiment", "assign", "test", *SHARES, "--visitor", "7", "--visitor", "x")
    assert told.stdout.splitlines() == [f"{each}  {HALVES.arm_of(each)}" for each in ("7", "x")]
    file = tmp_path / "arms.csv"
    done = ukdsl("experiment", "assign", "test", *SHARES, "--input", str(logs / "pages.parquet"), "--output", str(file))
    arms = pl.read_csv(file, schema_overrides={"visitor": pl.String})
    assert f"{len(arms):,} visitors: static" in done.stdout
    assert arms["arm"].to_list() == [HALVES.arm_of(each) for each in arms["visitor"]]


def test_a_reading_fits_80_columns_and_is_the_same_as_json(ukdsl: Command, logs: Path, tmp_path: Path) -> None:
    words = ["experiment", "read", "test", "--log", str(logs / "pages.parquet"), "--arm", "arm", *COLUMNS, *SHARES]
    words += ["--days", "8", "--before", str(logs / "before.parquet")]
    told = ukdsl(*words, "--json", str(tmp_path / "reading.json"))
    assert told.returncode == 0
    assert max(map(len, told.stdout.splitlines())) <= 80
    figures = json.loads((tmp_path / "reading.json").read_text())
    assert figures["verdict"] == "Better"
    assert told.stdout.startswith("test: students against static: Better\n")
    assert "serve students to all" in told.stdout
    assert figures["plan"] == {"days": 8, "looks": [2, 4, 6, 8]}
    (metric,) = figures["metrics"]
    assert metric["finding"] == "higher"
    assert metric["looks"][-1]["interval"][0] > 0
    assert metric["looks"][-1]["error_of_log"] < metric["looks"][-1]["error_without_cuped"]
    printed = ukdsl(*words, "--json", "-").stdout
    assert json.loads(printed) == figures


def test_two_logs_are_one_with_an_arm(ukdsl: Command, logs: Path) -> None:
    one = ("--log", str(logs / "pages.parquet"), "--arm", "arm")
    two = ("--control", str(logs / "static.csv"), "--treatment", str(logs / "students.csv"))
    first, second = (
        json.loads(ukdsl("experiment", "read", "test", *files, *COLUMNS, *SHARES, "--json", "-").stdout)
        for files in (one, two)
    )
    assert first == second
    assert first["plan"] is None


def test_arms_that_no_log_holds_are_drawn_by_the_name(ukdsl: Command, logs: Path) -> None:
    told = ukdsl("experiment", "read", "other", "--log", str(logs / "before.parquet"), *COLUMNS, "--json", "-")
    figures = json.loads(told.stdout)
    assert figures["ratio_check"]["passed"]
    assert min(figures["visitors"]) > 500


def test_a_plan_tells_days_and_lifts(ukdsl: Command, logs: Path) -> None:
    told = ukdsl("experiment", "power", "--log", str(logs / "before.parquet"), *COLUMNS, "--lift", "0.05")
    assert told.returncode == 0
    assert max(map(len, told.stdout.splitlines())) <= 80
    assert "smallest lift found" in told.stdout
    words = ("experiment", "power", "--rate", "0.1", "--looks", "1", "--json", "-")
    figures = json.loads(ukdsl(*words, "--lift", "0.02").stdout)["metrics"][0]
    assert figures["visitors_for_lift"] == pytest.approx(2 * 16 * 0.9 / 0.1 / 0.02**2, rel=0.03)
    # Those visitors find that lift.
    found = ukdsl(*words, "--visitors", str(figures["visitors_for_lift"])).stdout
    assert json.loads(found)["metrics"][0]["smallest_lift"] == pytest.approx(0.02, rel=1e-3)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("assign", "x"), "expected --visitor ID"),
        (("assign", "x", "--shares", "a=1", "--visitor", "1"), "at least two arms"),
        (("assign", "x", "--shares", "a,b", "--visitor", "1"), "expected ARM=SHARE"),
        (("assign", "x", "--shares", "a=.5,a=.5", "--visitor", "1"), "stands twice"),
        (("assign", "x", "--input", "LOGS/pages.parquet", "--output", "x.json"), "ends with .csv"),
        (("assign", "x", "--input", "LOGS/pages.parquet", "--output", "x.csv", "--column", "visiter"), "did you mean"),
        (("power",), "expected --log FILE"),
        (("power", "--rate", "0.1", "--lift", "0"), "lift: saw 0"),
        (("power", "--rate", "2"), "give --variance"),
        (("power", "--rate", "0.1", "--power", "2"), "power: saw 2"),
        (("power", "--log", "LOGS/before.parquet", *COLUMNS, "--before-days", "8"), "days left to measure"),
        (("read", "x", *COLUMNS), "expected --log FILE"),
        (("read", "x", *COLUMNS, "--log", "LOGS/pages.parquet", "--control", "y"), "expected --log FILE"),
        (("read", "x", *COLUMNS, "--log", "LOGS/pages.parquet", "--arm", "arm"), "the log has arms static, students"),
        (("read", "x", *COLUMNS, "--log", "LOGS/nowhere.csv"), "is not there"),
        (("read", "x", *COLUMNS, "--log", "LOGS/pages.parquet", "--before", "LOGS/pages.parquet"), "days before it"),
        (("read", "x", *COLUMNS, "--log", "LOGS/pages.parquet", *("--events", "a") * 2), "saw 2 for 1 log"),
        (("read", "x", *COLUMNS, "--log", "LOGS/pages.parquet", "--events", "LOGS/pages.parquet"), "request_id"),
        (("read", "x", *COLUMNS, "--log", "LOGS/pages.parquet", "--json", "LOGS/none/x.json"), "no folder"),
    ],
)
def test_odd_inputs_are_told(ukdsl: Command, logs: Path, words: tuple[str, ...], told: str) -> None:
    ended = ukdsl("experiment", *(word.replace("LOGS", str(logs)) for word in words))
    assert ended.returncode == 2
    assert told in " ".join(ended.stderr.split())
    assert "Traceback" not in ended.stderr
