"""A wrong declaration is told by names, not places, with what was seen, what is expected and the nearest known word."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml

from tests.fixtures.shop import DECLARATION
from ukdsl_assets.cli.common import read_settings
from ukdsl_assets.declaration.read import SHIPPED, read_cascade
from ukdsl_assets.declaration.sources import Source
from ukdsl_assets.errors import DeclarationError, did_you_mean

# A source may be added; whichever there are are told.
SOURCES = [get_args(each.model_fields["kind"].annotation)[0] for each in get_args(get_args(Source)[0])]
SHOP = (SHIPPED / "simulated_ads.yaml").read_text()


def told(tmp_path: Path, change: Callable[[dict[str, Any]], Any]) -> list[str]:
    """The lines that a change of the shipped declaration is answered by, without the file's name."""
    content = yaml.safe_load(SHOP)
    change(content)
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump(content))
    with pytest.raises(DeclarationError) as error:
        read_cascade(path)
    first, *lines = str(error.value).splitlines()
    assert first == f"{path}: {len(lines)} wrong key(s)"
    return [line.strip() for line in lines]


def of(key: str, index: int, **changes: Any) -> Callable[[dict[str, Any]], Any]:
    """Replace some keys of one block of a list."""
    return lambda content: content[key][index].update(changes)


CASES = {
    "a misspelled key": (
        of("students", 0, archtecture="mlp"),
        "students.retrieval_click.archtecture: unknown key; did you mean `architecture`?",
    ),
    "a misspelled value": (
        of("students", 0, heads=["impresion"]),
        "students.retrieval_click.heads: expected one of impression, consideration, scored, dependent, auxiliary, "
        "representation (saw 'impresion'); did you mean `impression`?",
    ),
    "a misspelled architecture": (
        of("students", 1, architecture="mpl"),
        "students.pre_ranking_click.architecture.kind: expected one of two_tower, mlp, dcn_v2, deepfm, lightgbm "
        "(saw 'mpl'); did you mean `mlp`?",
    ),
    "an architecture without a kind": (
        of("students", 1, architecture={"hidden": [3]}),
        "students.pre_ranking_click.architecture: has no `kind`, expected one of two_tower, mlp, dcn_v2, deepfm, "
        "lightgbm",
    ),
    "a key inside an architecture": (
        of("students", 1, architecture={"kind": "mlp", "hiden": [3]}),
        "students.pre_ranking_click.architecture.hiden: unknown key; did you mean `hidden`?",
    ),
    "a key one level too high": (
        of("students", 1, listwise=0.5),
        "students.pre_ranking_click.listwise: unknown key here; it belongs below `loss`",
    ),
    "an unknown kind of teacher": (
        of("teachers", 1, kind="oracle"),
        "teachers.ranking_logged.kind: expected one of logged, trained, foundation, cross_domain (saw 'oracle')",
    ),
    "a teacher without a kind": (
        lambda content: content["teachers"][1].pop("kind"),
        "teachers.ranking_logged: has no `kind`, expected one of logged, trained, foundation, cross_domain",
    ),
    "a key of another kind": (
        of("teachers", 1, trees=4),
        "teachers.ranking_logged.trees: unknown key of kind logged, expected some of name, kind, stage",
    ),
    "an unknown kind of source": (
        lambda content: content.update(source={"kind": "parket", "path": "logs"}),
        f"source.kind: expected one of {', '.join(SOURCES)} (saw 'parket'); did you mean `parquet`?",
    ),
    "a source without its path": (
        lambda content: content.update(source={"kind": "parquet"}),
        "source.path: is required and missing",
    ),
    "a block without a name": (
        lambda content: content["students"][2].pop("name"),
        "students.(number 3).name: is required and missing",
    ),
    "a feature's unknown kind": (
        of("features", 8, kind="categorial"),
        "features.ad.kind: expected one of categorical, multi_valued, numeric, vector (saw 'categorial'); did you mean "
        "`categorical`?",
    ),
    "a feature whose keys do not go together": (
        of("features", 6, width=None),
        "features.user_profile: `width` is required for a vector feature and not allowed for others",
    ),
    "one value where several types fit": (
        of("students", 0, features="al"),
        "students.retrieval_click.features: expected a list, such as [one, other], or one of all, selected (saw 'al'); "
        "did you mean `all`?",
    ),
    "a wrong item of a list": (
        of("students", 0, features=["user_segment", "Ad"]),
        "students.retrieval_click.features: expected a name of small letters, digits and _ that starts with a letter "
        "(saw 'Ad')",
    ),
    "a fraction for a count": (
        of("students", 0, epochs=1.5),
        "students.retrieval_click.epochs: expected a whole number (saw 1.5)",
    ),
    "a bound": (
        lambda content: content.update(withheld_share=1.5),
        "withheld_share: expected at most 0.9999 (saw 1.5)",
    ),
    "a duration": (
        of("tasks", 0, attribution_window="one day"),
        "tasks.click.attribution_window: expected a duration such as PT30M, P1D or P7D (saw 'one day')",
    ),
    "a pair of one": (
        lambda content: content.update(gates={"volume": [1]}),
        "gates.volume: has too few values",
    ),
    "a word for a block": (
        lambda content: content.update(source="simulated"),
        "source: expected a mapping of keys to values (saw 'simulated')",
    ),
    "a reference": (
        of("students", 0, task="clik"),
        "students.retrieval_click.task: unknown name `clik`, expected one of click, conversion; did you mean `click`?",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_a_wrong_key_is_told_in_plain_words(tmp_path: Path, case: str) -> None:
    change, expected = CASES[case]
    assert told(tmp_path, change) == [expected]


def test_a_list_of_which_every_item_is_wrong_is_not_told_to_be_too_short(tmp_path: Path) -> None:
    task = {"name": "click", "event": "click"}
    for window, bound in (("PT0S", "more than P0D"), ("P4000D", "at most P3650D")):
        content = DECLARATION | {
            "tasks": [task | {"attribution_window": window}],
            "source": {"kind": "parquet", "path": "x"},
        }
        path = tmp_path / "shop.yaml"
        path.write_text(yaml.safe_dump(content))
        with pytest.raises(DeclarationError) as error:
            read_cascade(path)
        line = f"  tasks.click.attribution_window: expected {bound} (saw '{window}')"
        assert str(error.value).splitlines()[1:] == [line]


def test_a_key_that_nothing_is_near_lists_what_is_known(tmp_path: Path) -> None:
    (line,) = told(tmp_path, of("students", 0, colour="red"))
    assert line.startswith("students.retrieval_click.colour: unknown key, expected some of name, stage, task, teacher")
    # Where the declaration was read from is no key of it.
    (line,) = told(tmp_path, lambda content: content.update(xyz=1))
    assert "students" in line
    assert "origin" not in line


def test_every_wrong_key_is_told_at_once(tmp_path: Path) -> None:
    def change(content: dict[str, Any]) -> None:
        content["students"][0] |= {"archtecture": "mlp", "epochs": 0}
        content["tasks"][1]["delayed"] = "maybe"

    lines = told(tmp_path, change)
    assert sorted(line.partition(":")[0] for line in lines) == [
        "students.retrieval_click.archtecture",
        "students.retrieval_click.epochs",
        "tasks.conversion.delayed",
    ]


def test_every_wrong_reference_has_a_line_of_its_own(tmp_path: Path) -> None:
    lines = told(tmp_path, of("students", 0, task="clik", stage="retreival"))
    assert [line.partition(":")[0] for line in lines] == [
        "students.retrieval_click.stage",
        "students.retrieval_click.task",
    ]


def test_a_wrong_key_of_an_extended_file_names_that_file(tmp_path: Path) -> None:
    other = tmp_path / "other.yaml"
    other.write_text(SHOP.replace("withheld_share: 0.2", "withheld_share: 2"))
    mine = tmp_path / "mine.yaml"
    mine.write_text("extends: other.yaml\nname: mine\nhas_bit: true\n")
    with pytest.raises(DeclarationError) as error:
        read_cascade(mine)
    first, *lines = str(error.value).splitlines()
    assert first == f"{mine}: 2 wrong key(s)"
    assert f"  withheld_share: expected at most 0.9999 (saw 2) (in {other})" in lines
    assert "  has_bit: unknown key; did you mean `has_bid`?" in lines


def test_wrong_settings_are_told_alike_by_the_variables_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UKDSL_SHARDS", "two")
    monkeypatch.setenv("UKDSL_AS_OF", "2026-01-01T00:00:00")
    with pytest.raises(DeclarationError) as error:
        read_settings(scale="smal")
    first, *others = str(error.value).removeprefix("settings: ").split("; UKDSL_")
    assert first == "UKDSL_SCALE: expected one of small, default, large (saw 'smal'); did you mean `small`?"
    assert others[0].startswith("AS_OF: ")
    assert "timezone" in others[0]
    assert others[1] == "SHARDS: expected a whole number (saw 'two')"


def test_only_a_near_word_is_offered() -> None:
    assert did_you_mean("clik", ["click", "conversion"]) == "; did you mean `click`?"
    assert did_you_mean("purchase", ["click", "conversion"]) == ""
    assert did_you_mean("clik", []) == ""
