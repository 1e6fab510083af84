"""The command line as a user meets it: exit codes, messages without tracebacks, files written."""

import json
import re
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest
import yaml

from tests.fixtures.command_line import Command, Ended, at, in_a_terminal
from tests.fixtures.logs import make_logs
from tests.fixtures.shop import DAY, DECLARATION
from ukdsl_assets.cli.app import main
from ukdsl_assets.cli.common import PlainConsole, find_cascade, read_settings, speak
from ukdsl_assets.cli.show import show_run
from ukdsl_assets.declaration.read import read_cascade
from ukdsl_assets.gates import GateResult
from ukdsl_assets.reports.gates import gate_table

KEYS = [
    *("cascade", "day", "student", "arm", "head", "domain", "reference", "rows", "calibration", "calibration_error"),
    *("ne", "ne_change", "ne_change_error", "auc", "auc_error", "request_auc"),
    *("effective_rows", "recall", "value_share", "days"),
]


@pytest.mark.slow
def test_a_result_is_printed_quietly_or_as_json_alone(
    ran: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, place in at(ran).items():
        monkeypatch.setenv(name, place)
    settings = read_settings()
    cascade = find_cascade(settings, "shop")[1]
    capfd.readouterr()
    try:
        speak(quiet=True, verbose=False)
        assert not show_run(settings, cascade, [DAY], None)
    finally:
        speak(quiet=False, verbose=False)
    quiet = capfd.readouterr().out
    assert "pre_ranking_click: Released (by " in quiet
    assert "report: " in quiet
    assert not [words for words in ("calibration: mean", "ukdsl ui", "--details") if words in quiet]
    show_run(settings, cascade, [DAY], Path("-"))
    assert json.loads(capfd.readouterr().out) == json.loads((ran / "out.json").read_text())


@pytest.mark.slow
def test_run_prints_its_result_and_writes_decisions_and_evaluation(ran: Path) -> None:
    done = Ended(**json.loads((ran / "said.json").read_text()))
    assert done.returncode == 0, done.stderr
    assert "pre_ranking_click: Released (by " in done.stdout
    assert f"{DAY}: 1 released" in done.stdout
    assert "ukdsl ui" in done.stdout
    assert max(map(len, done.stdout.partition("decisions and evaluation")[0].splitlines())) <= 80
    # In a pipe something is said before the first step, and then of steps.
    assert done.stderr.startswith("loading shop ...\n")
    assert re.search(rf"^{DAY}: 0 of \d+ steps: logs$", done.stderr, re.MULTILINE)
    assert re.search(rf"^{DAY} done, \d+ s a day, 0 s left$", done.stderr, re.MULTILINE)
    result = json.loads((ran / "out.json").read_text())
    assert [(each["day"], each["student"], each["outcome"], each["reasons"]) for each in result["decisions"]] == [
        (str(DAY), "pre_ranking_click", "released", [])
    ]
    rows = result["evaluation"]
    assert [list(row) for row in rows] == [KEYS] * len(rows)
    assert {(row["arm"], row["head"]) for row in rows} == {
        ("baseline", "impression"),
        ("distilled", "impression"),
        ("distilled", "consideration"),
    }
    assert all(row["day"] == str(DAY) for row in rows)


@pytest.mark.slow
def test_a_refused_release_exits_with_three_and_says_why_on_eighty_columns(shop: Path) -> None:
    path = shop / "cascades" / "shop.yaml"
    strict = yaml.safe_load(path.read_text()) | {"gates": {**DECLARATION["gates"], "student_calibration": [5, 6]}}
    path.write_text(yaml.safe_dump(strict))
    # Without a file there Dagster says so, in lines of its own.
    (shop / "home").mkdir()
    (shop / "home" / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
    done = in_a_terminal("run", "shop", "--days", str(DAY), "--details", **at(shop))
    assert done.returncode == 3, done.stdout
    # Control sequences take no room; what a line returns to its beginning for is a line of its own.
    lines = re.split(r"[\r\n]+", re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", done.stdout))
    first = next(line for line in lines if line.strip())
    assert "loading shop ..." in first
    places = next(number for number, line in enumerate(lines) if line.startswith("report: "))
    assert max(map(len, lines[:places])) <= 80
    assert "…" not in done.stdout
    told = " ".join(" ".join(lines).split())
    assert "pre_ranking_click: Refused (by " in told
    assert "why: calibrated_on_consideration: calibration" in told
    assert "next: what was released before stays" in told
    assert f"{DAY}: 1 refused report: " in told
    # The tables of --details stand before it.
    assert told.index("Not shown on 80 characters") < told.index("Refused: calibrated_on") < told.index("why: calib")


@pytest.mark.slow
def test_vacuum_spares_what_is_live(shop: Path, ran: Path, ukdsl: Command) -> None:
    shutil.copytree(ran / "lake", shop / "lake", ignore=shutil.ignore_patterns("reports"))
    assert ukdsl("run", "shop", "--days", str(DAY), **at(shop)).returncode == 0
    done = ukdsl("vacuum", "--older-than-hours", "0", **at(shop))
    assert done.returncode == 0, done.stderr
    # Each table had its one file replaced.
    tables = len(list((shop / "lake" / "tables").rglob("_delta_log")))
    assert tables > 5
    assert f"Removed {tables} file(s) of {tables} table(s)" in done.stdout
    assert ukdsl("report", "shop", "--day", str(DAY), **at(shop)).returncode == 0
    candidates = shop / "logs" / "candidate_log" / f"day={DAY}"
    files = ("--input", str(candidates), "--output", str(shop / "scores.parquet"))
    assert ukdsl("score", "shop", "pre_ranking_click", *files, **at(shop)).returncode == 0


@pytest.mark.slow
def test_score_takes_the_released_student_and_says_which(tmp_path: Path, ran: Path, ukdsl: Command) -> None:
    there = at(ran)
    candidates, out = tmp_path / "candidates.parquet", tmp_path / "scores.parquet"
    arguments = ("score", "shop", "pre_ranking_click", "--input", str(candidates), "--output", str(out))
    log = make_logs(read_cascade(ran / "cascades" / "shop.yaml"), DAY, requests=60).candidate_log
    log.write_parquet(candidates)
    early = ukdsl(*arguments, **{**there, "UKDSL_LAKE": str(tmp_path / "lake")})
    assert early.returncode == 2
    assert "nothing is released" in early.stderr
    assert "ukdsl run shop --days" in early.stderr
    done = ukdsl(*arguments, **there)
    assert done.returncode == 0, done.stderr
    assert "head consideration" in done.stdout
    assert f"{log.height} rows" in done.stdout
    scores = pl.read_parquet(out)
    assert scores.select("request_id", "candidate_id").equals(log.select("request_id", "candidate_id"))
    assert scores["prediction"].is_between(0, 1, closed="none").all()
    assert ukdsl(*arguments, "--day", str(DAY), "--head", "impression", **there).returncode == 0
    assert not pl.read_parquet(out).equals(scores)
    unknown = ukdsl("score", "shop", "no_such", "--input", str(candidates), "--output", str(out), **there)
    assert unknown.returncode == 2
    assert "has no student `no_such`; declared are pre_ranking_click" in unknown.stderr


def test_check_logs_passes_good_logs_and_writes_nothing(shop: Path, ukdsl: Command) -> None:
    done = ukdsl("check-logs", "shop", "--day", str(DAY), **at(shop))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "The logs keep the contract." in done.stdout
    assert not (shop / "lake").exists()


def test_check_logs_names_the_broken_rule_and_exits_with_one(shop: Path, ukdsl: Command) -> None:
    path = shop / "logs" / "candidate_log" / f"day={DAY}" / "part-0.parquet"
    pl.read_parquet(path).with_columns(bid=pl.lit(-1.0, pl.Float32)).write_parquet(path)
    done = ukdsl("check-logs", "shop", "--day", str(DAY), **at(shop))
    assert done.returncode == 1
    assert "bid" in done.stdout
    assert "1 gate(s) failed" in done.stdout


def test_check_logs_of_a_day_that_is_not_there_names_the_days_that_are(shop: Path, ukdsl: Command) -> None:
    done = ukdsl("check-logs", "shop", "--day", "2026-03-05", **at(shop))
    assert done.returncode == 1
    assert done.stderr.startswith("shop, 2026-03-05: no candidate log for 2026-03-05 at ")
    assert "nearest days there: 2026-03-01; write the day's logs first" in done.stderr
    # One thing, and no table of gates that nothing could be judged by.
    assert done.stdout == ""


@pytest.mark.slow
def test_a_refused_day_exits_with_one_and_says_why_without_a_traceback(shop: Path, ukdsl: Command) -> None:
    path = shop / "logs" / "candidate_log" / f"day={DAY}" / "part-0.parquet"
    pl.read_parquet(path).drop("price").write_parquet(path)
    done = ukdsl("run", "shop", "--days", str(DAY), **at(shop))
    assert done.returncode == 1
    assert "price" in done.stderr
    assert "Traceback" not in done.stdout + done.stderr


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("run", "nobody", "--days", "2026-03-01"), "no cascade `nobody`; declared are"),
        (("run", "shop", "--days", "soon"), "expected 2026-01-01 or"),
        (("check-logs", "shop", "--day", "2026-02-01"), "shop has days 2026-03-01 to"),
        (("check-logs", "shop", "--day", "2026-03-01..2026-03-02"), "expected one day"),
        (("run", "shop", "--days", "2026-03-01..", "--json", "x.json"), "expected 2026-01-01 or"),
        (("run", "shop", "--days", "2026-03-01", "--json", "nowhere/x.json"), "no folder nowhere"),
    ],
)
def test_wrong_arguments_exit_with_two_and_say_what_was_expected(
    shop: Path, arguments: tuple[str, ...], expected: str, ukdsl: Command
) -> None:
    done = ukdsl(*arguments, **at(shop))
    assert done.returncode == 2
    assert expected in done.stderr
    assert "Traceback" not in done.stderr


def test_a_wrong_declaration_beside_a_sound_one_is_told_and_does_not_stop_it(shop: Path, ukdsl: Command) -> None:
    text = (shop / "cascades" / "shop.yaml").read_text()
    (shop / "cascades" / "wrong.yaml").write_text(text.replace("name: shop", "name: wrong") + "has_bit: true\n")
    done = ukdsl("check-logs", "shop", "--day", str(DAY), **at(shop))
    assert done.returncode == 0, done.stderr
    assert "wrong.yaml: 1 wrong key(s)" in done.stderr
    assert "did you mean `has_bid`?" in done.stderr
    done = ukdsl("check-logs", "wrong", "--day", str(DAY), **at(shop))
    assert done.returncode == 2
    assert "has_bit" in done.stderr


def test_what_looks_like_markup_is_printed_as_it_is(tmp_path: Path, ukdsl: Command) -> None:
    there = at(tmp_path) | {"UKDSL_CASCADES": str(tmp_path / "absent [/b]")}
    done = ukdsl("check-logs", "shop", "--day", str(DAY), **there)
    assert f"{tmp_path}/absent [/b]: no such folder" in done.stderr


def test_consoles_print_paths_that_look_like_markup(capsys: pytest.CaptureFixture[str]) -> None:
    for printed in (PlainConsole(width=80), PlainConsole(stderr=True, width=80)):
        printed.print("Lake: /data/[prod]/[/red]", highlight=False)
    captured = capsys.readouterr()
    assert captured.out == captured.err == "Lake: /data/[prod]/[/red]\n"


def test_consoles_print_tables_in_colours_and_not_their_marks(capsys: pytest.CaptureFixture[str]) -> None:
    results = [GateResult("keys_unique", True, "fine"), GateResult("contract", False, "file /a[1]/[/b]")]
    PlainConsole(width=80).print(gate_table("candidate_log of [/b]", results))
    printed = capsys.readouterr().out
    assert "candidate_log of [/b]" in printed
    assert "file /a[1]/[/b]" in printed
    assert "[red]" not in printed
    assert "[green]" not in printed


@pytest.mark.parametrize("arguments", [(), ("run",), ("check-logs",)])
def test_help_tells_what_there_is(arguments: tuple[str, ...], ukdsl: Command) -> None:
    done = ukdsl(*arguments, "--help")
    assert done.returncode == 0
    assert "Usage" in done.stdout


def test_the_ui_says_that_its_port_is_taken(tmp_path: Path, ukdsl: Command) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = ukdsl("ui", "--port", str(port), **at(tmp_path) | {"UKDSL_CASCADES": str(tmp_path)})
    assert done.returncode == 2
    assert f"--port {port}: cannot listen there" in done.stderr
    assert not (tmp_path / "home").exists()


def test_ctrl_c_in_any_command_says_that_it_stopped(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("ukdsl_assets.cli.status.read_settings", interrupted)
    monkeypatch.setattr("sys.argv", ["ukdsl", "status", "shop"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 130
    assert "Stopped as asked; what was published stays" in capsys.readouterr().err


def test_a_stop_ends_with_130_though_a_query_goes_on() -> None:
    script = """
import threading, time, duckdb
from ukdsl_assets.cli.app import _say_stopped
query = "select sum(a.range * b.range) from range(10_000_000) a, range(10_000_000) b"
threading.Thread(target=lambda: duckdb.connect().execute(query), daemon=True).start()
time.sleep(0.5)
_say_stopped("Stopped as asked.", left_behind=True)
"""
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    assert (ended.returncode, ended.stderr.strip()) == (130, "Stopped as asked.")
