"""What holds of all commands: order, `--quiet` and `--verbose`, versions, completion, near names, a fast start."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import typer

from tests.fixtures.command_line import Command, at
from tests.fixtures.shop import DAY
from ukdsl_assets.cli.app import app, main
from ukdsl_assets.cli.commands import PANELS
from ukdsl_assets.cli.completion import cascade_names
from ukdsl_assets.settings import PROJECT

HEAVY = {"polars", "torch", "dagster", "duckdb", "deltalake", "lightgbm", "matplotlib", "numpy", "pydantic"}


def test_every_command_has_its_place_in_the_help(ukdsl: Command) -> None:
    registered = set(typer.main.get_command(app).commands)  # type: ignore[attr-defined]
    assert registered <= {name for names in PANELS.values() for name in names}
    told = ukdsl("--help").stdout
    assert "Other" not in told
    places = [told.index(f"│ {name} ") for names in PANELS.values() for name in names if name in registered]
    assert places == sorted(places)
    assert max(map(len, told.splitlines())) <= 80


def test_the_help_and_a_completion_load_nothing_heavy(tmp_path: Path) -> None:
    code = "import sys, ukdsl_assets.cli.app; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=PROJECT, capture_output=True, text=True, check=True)
    assert HEAVY.isdisjoint(done.stdout.split())
    code = "import sys; from ukdsl_assets.cli.completion import cascade_names as c; c(''); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=PROJECT, capture_output=True, text=True, check=True)
    # Settings are read by pydantic.
    assert (HEAVY - {"pydantic"}).isdisjoint(done.stdout.split())


def test_versions_are_told(ukdsl: Command) -> None:
    told = ukdsl("--version")
    assert told.returncode == 0
    assert told.stdout.startswith("ukdsl-assets 0.")
    assert all(f"{name} " in told.stdout for name in ("Python", "torch", "polars", "dagster"))


@pytest.mark.parametrize("place", ["before", "behind"])
def test_quiet_leaves_results_alone(shop: Path, ukdsl: Command, place: str) -> None:
    (shop / "cascades" / "wrong.yaml").write_text("name: wrong\n")
    words = ("status", "shop")
    told = ukdsl(*(("--quiet", *words) if place == "before" else (*words, "-q")), **at(shop))
    assert (told.stdout, told.stderr) == ("shop: no day is published yet\n", "")
    loud = ukdsl(*words, **at(shop))
    assert "Make the first day" in loud.stdout
    assert "wrong.yaml" in loud.stderr
    assert ukdsl("--quiet", "--verbose", *words, **at(shop)).returncode == 2


def test_a_fault_is_told_in_one_line_and_with_verbose_in_full(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def faulty() -> None:
        raise KeyError("nobody foresaw it")

    monkeypatch.setattr("ukdsl_assets.cli.status.read_settings", faulty)
    for words in (["status"], ["status", "--verbose"]):
        monkeypatch.setattr("sys.argv", ["ukdsl", *words])
        with pytest.raises(SystemExit) as ended:
            main()
        told = capfd.readouterr().err
        assert ended.value.code == 1
        assert "KeyError: 'nobody foresaw it'" in told
        assert ("Traceback" in told) == ("--verbose" in words)
    assert "test_commands.py" in told


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("rum",), "Did you mean 'run'?"),
        (("run", "shop", "--dais", str(DAY)), "--days"),
        (("status", "shopp"), "no cascade `shopp`; did you mean `shop`? Declared are"),
    ],
)
def test_a_near_name_is_told(shop: Path, ukdsl: Command, words: tuple[str, ...], expected: str) -> None:
    told = ukdsl(*words, **at(shop))
    assert told.returncode == 2
    assert expected in told.stderr


def test_shells_are_offered_cascades_and_the_students_of_the_one_that_was_typed(shop: Path) -> None:
    def offered(words: str) -> str:
        environment = {**at(shop), "_UKDSL_COMPLETE": "complete_bash", "COMP_WORDS": words}
        environment |= {"COMP_CWORD": str(len(words.split()) - (not words.endswith(" "))), "PATH": ""}
        code = "import sys; sys.argv = ['ukdsl']; from ukdsl_assets.cli.app import main; main()"
        done = subprocess.run(
            [sys.executable, "-c", code], cwd=PROJECT, capture_output=True, text=True, env=environment, check=False
        )
        return done.stdout

    assert offered("ukdsl status sho").split() == ["shop"]
    assert offered("ukdsl compare shop pre").split() == ["pre_ranking_click"]


def test_a_completion_of_what_cannot_be_read_offers_the_rest(shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (shop / "cascades" / "broken.yaml").write_text("name: [")
    for name, value in at(shop).items():
        monkeypatch.setenv(name, value)
    assert cascade_names("sho") == [("shop", "A shop's carousel.")]
    monkeypatch.setenv("UKDSL_CASCADES", str(shop / "nowhere"))
    assert cascade_names("sho") == []


def test_the_schema_is_printed_and_written(tmp_path: Path, ukdsl: Command) -> None:
    printed = json.loads(ukdsl("schema").stdout)
    assert printed == json.loads((PROJECT / "docs" / "cascade.schema.json").read_text())
    path = tmp_path / "cascade.schema.json"
    told = ukdsl("schema", "--output", str(path))
    assert json.loads(path.read_text()) == printed
    assert "# yaml-language-server: $schema=cascade.schema.json" in told.stdout
    assert "no folder" in ukdsl("schema", "--output", str(tmp_path / "nowhere" / "x.json")).stderr
