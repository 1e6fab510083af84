"""The reference has all that there is: every key, setting, command, column and gate, with what it means."""

from pathlib import Path

import pytest

from documentation.reference import PAGES
from documentation.reference.commands import commands
from documentation.reference.gates import NOTHING, gates, general
from documentation.reference.tables import EXAMPLE, FIGURES
from ukdsl_assets.declaration.corrections import GATES_OF_A_RELEASE
from ukdsl_assets.declaration.json_schema import cascade_schema
from ukdsl_assets.declaration.read import SHIPPED, read_cascade
from ukdsl_assets.defs.build import build_defs
from ukdsl_assets.logs.contract import (
    candidate_log_dtypes,
    candidate_log_meanings,
    event_log_dtypes,
    event_log_meanings,
)
from ukdsl_assets.settings import PROJECT, Settings
from ukdsl_assets.sql.model import read_models

# One student for each way to train one; together with the shipped cascades, every table and gate that there is.
EVERYTHING = PROJECT / "benchmarks" / "behaviour" / "everything.yaml"


def rows(page: str) -> list[list[str]]:
    """Cells of every line of every table of a page."""
    text = PAGES[f"reference/{page}.md"]()
    lines = [line for line in text.splitlines() if line.startswith("| ") and not line.startswith("| ---")]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]


def test_every_key_of_a_declaration_has_a_type_and_a_meaning() -> None:
    listed = rows("declaration")
    schema = cascade_schema()
    for block in (schema, *schema["$defs"].values()):
        for key, about in block["properties"].items():
            meaning = " ".join(about["description"].split("\n\n")[0].split())[:30].rstrip(".").replace("|", "\\|")
            mine = [cells for cells in listed if cells[0] == f"`{key}`" and meaning.lower() in cells[-1].lower()]
            assert mine, f"{key}: {meaning}"
            assert all(cells[1] for cells in mine)


def test_every_setting_is_there_and_no_folder_of_this_machine() -> None:
    listed = {cells[0]: cells for cells in rows("settings")}
    assert set(listed) == {"variable", *(f"`UKDSL_{name.upper()}`" for name in Settings.model_fields)}
    assert all(all(cells) for cells in listed.values())
    assert str(Path(PROJECT).parent) not in PAGES["reference/settings.md"]()


def test_every_command_and_option_is_there() -> None:
    page = PAGES["reference/commands.md"]()
    for name, command in commands().items():
        assert f"## {name}\n" in page or f"`{name}`" in page
        for option in (option for each in command.params for option in each.opts if option.startswith("--")):
            assert option in page
    assert "ukdsl evidence table1" in commands()


def test_every_column_is_there_with_what_it_says() -> None:
    listed = {(cells[0], cells[-1]) for cells in rows("tables")}
    named = {column for column, meaning in listed if len(meaning) > 5}
    cascade = read_cascade(SHIPPED / f"{EXAMPLE}.yaml")
    assert list(candidate_log_meanings(cascade)) == list(candidate_log_dtypes(cascade))
    assert list(event_log_meanings()) == list(event_log_dtypes(cascade))
    wanted = {*candidate_log_dtypes(cascade), *event_log_dtypes(cascade)}
    wanted |= {column for model in read_models(PROJECT / "dbt_like_sql").values() for column in model.columns}
    wanted |= {column for _, _, meanings in FIGURES.values() for column in meanings}
    assert not {f"`{column}`" for column in wanted} - named


@pytest.mark.slow
def test_every_gate_that_the_graph_can_show_is_there_with_what_to_do() -> None:
    cascades = [read_cascade(path) for path in (*sorted(SHIPPED.glob("*.yaml")), EVERYTHING)]
    graph = build_defs(
        Settings.model_validate({"examples": "all"}), {cascade.name: cascade for cascade in cascades}
    ).resolve_asset_graph()
    tasks = {task.name for cascade in cascades for task in cascade.tasks}
    shown = {general(key.name, tasks) for key in graph.asset_check_keys}
    known = {gate.name: gate for listed in gates().values() for gate in listed}
    assert shown | set(GATES_OF_A_RELEASE) == set(known)
    assert len(shown) > 30


def test_every_gate_says_what_it_demands_and_what_to_do() -> None:
    for table, listed in gates().items():
        for gate in listed:
            assert len(gate.demands) > 15, f"{table}, {gate.name}"
            assert len(gate.fix) > 20, f"{table}, {gate.name}: say by `demand` what to do when it fails"
    told = {gate.name for listed in gates().values() for gate in listed if gate.keeps_back == NOTHING}
    assert {"probe_rates_true", "selection_stable", "aims_reached"} <= told
    assert "calibrated_on_own_choice" not in told
