"""`ukdsl validate` tells every message about declarations and SQL models, and touches neither logs nor lake."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.fixtures.command_line import Command, at
from ukdsl_assets.settings import PROJECT


@pytest.fixture
def models(tmp_path: Path) -> Path:
    """The SQL models, to be changed."""
    return Path(shutil.copytree(PROJECT / "dbt_like_sql", tmp_path / "sql"))


def test_what_is_sound_is_told_with_what_was_not_checked(shop: Path, ukdsl: Command) -> None:
    shutil.rmtree(shop / "logs")
    told = ukdsl("validate", **at(shop))
    assert told.returncode == 0, told.stdout
    assert "shop (2 stages, 1 task, 1 teacher, 1 student): sound\n" in told.stdout
    assert "1 declaration(s) and 5 SQL model(s) are sound.\nNot checked: the logs." in told.stdout
    assert not (shop / "lake").exists()


def test_every_message_of_every_declaration_is_told(shop: Path, ukdsl: Command) -> None:
    text = (shop / "cascades" / "shop.yaml").read_text()
    (shop / "cascades" / "bit.yaml").write_text(text.replace("name: shop", "name: bit") + "has_bit: true\nnot: 1\n")
    own = shop / "own.yaml"
    own.write_text(text.replace("stage: ranking", "stage: rankin"))
    told = ukdsl("validate", **at(shop))
    assert told.returncode == 1
    assert "bit.yaml: 2 wrong key(s)" in told.stdout
    assert "did you mean `has_bid`?" in told.stdout
    assert "not:" in told.stdout
    one = ukdsl("validate", "shop", "bit", str(own), **at(shop))
    assert one.returncode == 1
    assert "shop (2 stages, 1 task, 1 teacher, 1 student): sound" in one.stdout
    assert "bit.yaml: 2 wrong key(s)" in one.stdout
    assert f"{own}: 1 wrong key(s)" in one.stdout
    assert ukdsl("validate", "shop", **at(shop)).returncode == 0


def test_sql_that_reads_a_column_which_nobody_has_is_told_with_its_file(
    shop: Path, models: Path, ukdsl: Command
) -> None:
    path = models / "staging" / "impressions.sql"
    path.write_text(path.read_text().replace("    shown.propensity\n", "    shown.propensities AS propensity\n"))
    other = models / "marts" / "stage_calibration.sql"
    other.write_text(other.read_text().replace("-- keys: [", "-- keys: [no_column, "))
    told = ukdsl("validate", "shop", UKDSL_SQL=models, **at(shop))
    assert told.returncode == 1
    assert "propensities" in told.stdout or "no_column" in told.stdout
    other.write_text((PROJECT / "dbt_like_sql" / "marts" / "stage_calibration.sql").read_text())
    told = ukdsl("validate", "shop", UKDSL_SQL=models, **at(shop))
    assert f"{path}: `impressions` failed" in told.stdout
    assert "propensities" in told.stdout
    # What reads the broken one has nothing of its own to say.
    assert "1 message(s)" in told.stdout


def test_every_wrong_header_has_its_say(shop: Path, models: Path, ukdsl: Command) -> None:
    for name in ("impressions", "considerations"):
        path = models / "staging" / f"{name}.sql"
        path.write_text(path.read_text().replace("-- scope: cascade", "-- scope: nobody"))
    told = ukdsl("validate", "shop", UKDSL_SQL=models, **at(shop))
    assert told.returncode == 1
    assert "impressions.sql: 1 wrong key(s) in the header" in told.stdout
    assert "considerations.sql: 1 wrong key(s) in the header" in told.stdout


def test_an_unknown_name_exits_with_two_and_the_nearest(shop: Path, ukdsl: Command) -> None:
    told = ukdsl("validate", "shopp", **at(shop))
    assert told.returncode == 2
    assert "no cascade and no file `shopp`; did you mean `shop`? Declared are" in told.stderr


def test_dagster_is_not_loaded() -> None:
    code = "import sys; from ukdsl_assets.pipeline import validate; sys.exit('dagster' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=PROJECT, check=False).returncode == 0


@pytest.mark.parametrize("name", ["candidate_log", "event_log", "simulated_state", "ranker", "pre_ranking_click"])
def test_an_own_table_with_the_name_of_what_no_model_makes_is_told(name: str, shop: Path, ukdsl: Command) -> None:
    (shop / "sql").mkdir()
    ours = (PROJECT / "dbt_like_sql" / "staging" / "impressions.sql").read_text()
    own = shop / "sql" / f"{name}.sql"
    own.write_text(ours)
    told = ukdsl("validate", "shop", UKDSL_SQL=shop / "sql", **at(shop))
    assert told.returncode == 1
    kind = "a teacher or student" if name in ("ranker", "pre_ranking_click") else "what no SQL model makes"
    assert f"{own}: table `{name}` has the name of {kind}" in told.stdout
    own.rename(own.with_name("mine.sql"))
    assert ukdsl("validate", "shop", UKDSL_SQL=shop / "sql", **at(shop)).returncode == 0


def test_wrong_sql_is_told_without_control_sequences(shop: Path, models: Path, ukdsl: Command) -> None:
    path = models / "staging" / "impressions.sql"
    path.write_text(path.read_text().replace("SELECT", "SELEKT"))
    told = ukdsl("validate", "shop", UKDSL_SQL=models, **at(shop))
    assert told.returncode == 1
    assert "is not DuckDB SQL once rendered" in told.stdout
    assert "\x1b" not in told.stdout


def test_a_choice_of_examples_that_is_none_is_told(shop: Path, ukdsl: Command) -> None:
    told = ukdsl("validate", "shop", UKDSL_EXAMPLES="simulated_adds", **at(shop))
    assert told.returncode == 1
    assert "UKDSL_EXAMPLES: no shipped cascade `simulated_adds`; did you mean `simulated_ads`?" in told.stdout


def test_a_folder_without_a_declaration_is_told_with_the_next_step(tmp_path: Path, ukdsl: Command) -> None:
    (tmp_path / "cascades").mkdir()
    told = ukdsl("validate", **at(tmp_path))
    assert told.returncode == 0
    assert "has no declaration yet: ukdsl init NAME makes one" in told.stdout
