"""Which cascades the graph shows: the user's own, the chosen examples, and no asset that cannot run."""

import logging
from pathlib import Path

import pytest
import yaml

from tests.fixtures.shop import DECLARATION
from ukdsl_assets.declaration.examples import examples_chosen, with_their_teachers
from ukdsl_assets.declaration.read import SHIPPED, read_cascades
from ukdsl_assets.declaration.sound import sound_cascades
from ukdsl_assets.defs.build import build_defs
from ukdsl_assets.defs.examples import shown_cascades
from ukdsl_assets.errors import DeclarationError
from ukdsl_assets.settings import Settings


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """A folder with one cascade of the user's."""
    (tmp_path / "shop.yaml").write_text(yaml.safe_dump(DECLARATION))
    return tmp_path


def shown(settings: Settings) -> tuple[set[str], list[str]]:
    """Cascades of the graph, and what is told to be missing."""
    cascades, missing = shown_cascades(settings, sound_cascades(settings.cascades)[0])
    return set(cascades), [each.description or "" for each in missing]


def test_a_fresh_clone_shows_what_it_can_run() -> None:
    assert shown(Settings()) == ({"simulated_ads"}, [])


def test_a_user_with_cascades_sees_theirs_alone_until_they_choose(own: Path) -> None:
    assert shown(Settings(cascades=own)) == ({"shop"}, [])
    assert shown(Settings(cascades=own, examples="none")) == ({"shop"}, [])
    assert shown(Settings(cascades=own, examples="simulated_ads")) == ({"shop", "simulated_ads"}, [])


def test_what_teaches_a_chosen_cascade_comes_with_it() -> None:
    assert shown(Settings(examples="simulated_small_surface"))[0] == {"simulated_small_surface", "simulated_ads"}


def test_the_teachers_of_teachers_come_too() -> None:
    cascades = read_cascades(SHIPPED)
    assert set(with_their_teachers(cascades, ["kuairand_tab2"])) == {"kuairand_tab2", "kuairand_tab1"}
    assert set(with_their_teachers(cascades, [])) == set()


def test_examples_without_their_data_are_told_once_and_have_no_assets(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        graph = build_defs(Settings(examples="all", kuairand=tmp_path / "absent")).resolve_asset_graph()
    first_parts = [key.path[0] for key in graph.get_all_asset_keys()]
    assert first_parts.count("missing_data") == 1
    assert not [part for part in first_parts if part.startswith("kuairand")]
    assert "simulated_last_stage" in first_parts
    (told,) = [record.message for record in caplog.records if "KuaiRand" in record.message]
    for words in ("kuairand, kuairand_tab0", str(tmp_path / "absent"), "val.parquet", "UKDSL_KUAIRAND"):
        assert words in told


@pytest.mark.parametrize(
    ("choice", "chosen"),
    [
        ("auto", {"simulated_ads"}),
        ("none", set()),
        ("", set()),
        (" simulated_ads , theory ", {"simulated_ads", "theory"}),
    ],
)
def test_a_choice_is_a_word_or_names(choice: str, chosen: set[str]) -> None:
    assert examples_chosen(choice, None) == chosen


def test_all_is_every_shipped_cascade_whose_file_is_called_like_it() -> None:
    assert examples_chosen("all", None) == {*read_cascades(SHIPPED), "evidence", "theory"}


def test_an_unknown_example_is_told_with_the_nearest_and_the_known_ones() -> None:
    with pytest.raises(
        DeclarationError, match=r"UKDSL_EXAMPLES: no shipped cascade `simulated_add`; did you mean"
    ) as e:
        examples_chosen("simulated_add", None)
    assert "kuairand_tab1" in str(e.value)


def test_theory_and_evidence_are_shown_where_they_are_chosen() -> None:
    def undated(examples: str) -> set[str]:
        return {
            key.path[0] for key in build_defs(Settings(examples=examples)).resolve_asset_graph().get_all_asset_keys()
        }

    assert undated("theory") == {"theory"}
    assert undated("evidence") == {"evidence"}
