"""`ukdsl evidence` from the command line: a study over seeds, taken up again, and the page of its JSON."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tests.fixtures.worlds import barely_warmed_up
from ukdsl_assets.cli.app import app
from ukdsl_assets.cli.evidence import TYPES
from ukdsl_assets.errors import DeclarationError, EvidenceError
from ukdsl_assets.evidence.registry import MODULES, study

SMALL = [
    *("--set", "requests=200", "--set", "days=2", "--set", "judged=1"),
    *("--set", 'arms=["baseline", "equal-effort control", "two heads"]'),
]


def ukdsl(*arguments: str) -> str:
    done = CliRunner().invoke(app, ["evidence", *arguments], catch_exceptions=True)
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    assert done.exit_code == 0, done.output
    return done.output


@pytest.mark.slow
def test_a_study_is_measured_told_taken_up_again_and_made_a_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UKDSL_LAKE", str(tmp_path / "lake"))
    barely_warmed_up(tmp_path / "lake" / "evidence" / "scratch")
    target = tmp_path / "1_table1.json"
    study = ["table1", "--worlds", "1", "--first", "100", "--jobs", "1", *SMALL]
    ukdsl(*study, "--json", str(target))
    first = json.loads(target.read_text())
    assert first["seeds"] == [100]
    assert first["settings"]["requests"] == 200
    (stored,) = (tmp_path / "lake" / "evidence" / "table1").glob("100-*.json")
    before = stored.stat().st_mtime_ns
    ukdsl(*study, "--json", str(target))
    assert stored.stat().st_mtime_ns == before
    assert json.loads(target.read_text())["tables"] == first["tables"]
    page = tmp_path / "evidence.md"
    ukdsl("document", "--from", str(tmp_path), "--output", str(page))
    cell = format(first["tables"][0]["lines"][0]["CD, teacher"]["mean"], ".3f")
    assert f" {cell} |" in page.read_text()


@pytest.mark.parametrize("name", MODULES)
def test_help_of_a_study_lists_its_settings_with_type_default_and_meaning(name: str) -> None:
    chosen = study(name)
    assert chosen.meanings.keys() == chosen.defaults.keys()
    said = " ".join(ukdsl(name, "--help").split())
    assert f"Settings of {name}, e.g. --set {next(iter(chosen.defaults))}=" in said
    for setting, default in chosen.defaults.items():
        kind = TYPES[type(default)]
        assert f"│ {setting} │ {kind} │ {default if isinstance(default, int | float) else ''}" in said
        assert chosen.meanings[setting].split()[0] in said
    assert f"Without --worlds {chosen.seeds} seeds are measured." in said


def test_wrong_arguments_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UKDSL_LAKE", str(tmp_path))
    for arguments, message in (
        (["table1", "--set", "requests"], "expected NAME=VALUE, saw 'requests'"),
        (
            ["table1", "--set", "request=5"],
            r"no setting `request`; expected one of requests, days, .*; did you mean `requests`\?",
        ),
        (["document", "--from", str(tmp_path), "--output", f"{tmp_path}/x.md"], r"no \*.json here"),
    ):
        with pytest.raises(EvidenceError, match=message):
            ukdsl(*arguments)
    with pytest.raises(DeclarationError, match="--json: no folder"):
        ukdsl("table1", "--json", f"{tmp_path}/none/x.json")
