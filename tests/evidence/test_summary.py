"""Means and standard errors over seeds, and the page that is made of them."""

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from tests.fixtures.coin_study import STUDY
from ukdsl_assets.errors import EvidenceError
from ukdsl_assets.evidence.document import document, read_results
from ukdsl_assets.evidence.printed import summary_table
from ukdsl_assets.evidence.study import Aim, TableOf
from ukdsl_assets.evidence.summary import aim_lines, caption, long_form, mean_and_error, result_of, summary, text_rows
from ukdsl_assets.evidence.units import Unit, settings_of


def units(*shares: float | None) -> list[Unit]:
    return [
        Unit(settings_of(STUDY, seed, {}), {"main": [{"side": "heads", "share": share}]}, 2.0, 1.0)
        for seed, share in enumerate(shares, start=1)
    ]


@given(st.lists(st.floats(-1e3, 1e3), min_size=2, max_size=20))
def test_the_error_is_that_of_the_mean(values: list[float]) -> None:
    found = mean_and_error(values)
    assert found["mean"] == pytest.approx(np.mean(values), abs=1e-9)
    variance = sum((value - np.mean(values)) ** 2 for value in values) / (len(values) - 1)
    assert found["error"] == pytest.approx(math.sqrt(variance / len(values)), abs=1e-9)
    assert found["seeds"] == len(values)


def test_one_seed_has_no_error_and_missing_figures_are_left_out() -> None:
    assert mean_and_error([2.0]) == {"mean": 2.0, "error": None, "seeds": 1}
    (line,) = summary(STUDY.tables[0], units(0.25, None, float("nan"), 0.35))
    assert line["side"] == "heads"
    assert (line["share"]["mean"], line["share"]["seeds"]) == (pytest.approx(0.3), 2)


def test_a_second_row_of_the_same_keys_is_refused() -> None:
    twice = Unit({"seed": 7}, {"main": [{"side": "heads"}, {"side": "heads"}]}, 0, 0)
    with pytest.raises(EvidenceError, match="table main, seed 7: two rows"):
        summary(STUDY.tables[0], [twice])


def test_texts_have_means_with_errors_and_the_lines_beside() -> None:
    (table,) = result_of(STUDY, units(0.2, 0.4), "ukdsl evidence coin")["tables"]
    assert list(text_rows(table)) == [("heads", "30.0 +- 10.0%"), ("heads, expected", "30%")]
    signed = TableOf("main", "", ("side",), {"share": "+.2f"})
    (table,) = ({**table, "figures": signed.figures, "beside": []},)
    assert list(text_rows(table)) == [("heads", "+0.30 +- .10")]


def test_the_caption_says_data_seeds_and_cost() -> None:
    said = caption(result_of(STUDY, units(0.2, 0.4, 0.3), "ukdsl evidence coin"))
    assert said.startswith("drawn, 400 draws at a chance of 0.3; seeds 1 to 3: mean +- standard error")
    assert "2 s of wall time and 1 s of CPU time a seed" in said
    assert "one seed, so without errors" in caption(result_of(STUDY, units(0.2), "ukdsl evidence coin"))


def test_the_page_is_made_of_the_stored_results_and_the_notes(tmp_path: Path) -> None:
    with pytest.raises(EvidenceError, match=r"no \*.json here"):
        read_results(tmp_path)
    result = result_of(STUDY, units(0.2, 0.4), "ukdsl evidence coin --seeds 2")
    (tmp_path / "coin.json").write_text(json.dumps(result))
    (tmp_path / "coin.md").write_text("The coin is not fair.\n")
    page = document(read_results(tmp_path))
    for part in (
        "## How often does it fall heads?",
        "    ukdsl evidence coin --seeds 2",
        "| side | share |\n| --- | ---: |\n| heads | 30.0 +- 10.0% |\n| heads, expected | 30% |",
        "The coin is not fair.",
    ):
        assert part in page
    (tmp_path / "coin.md").write_text("# A coin\n\nThe coin is not fair.\n")
    page = document(read_results(tmp_path))
    assert "## A coin" in page
    assert "How often" not in page
    assert "The coin is not fair." in page
    (tmp_path / "other.json").write_text('{"study": "x"}')
    with pytest.raises(EvidenceError, match=r"other.json: expected the JSON .* saw none of \['command'"):
        read_results(tmp_path)


@pytest.mark.parametrize(
    ("shares", "low", "reached"),
    [((0.2, 0.4), 0.09, True), ((0.2, 0.4), 0.11, False), ((0.2,), 0.1, None)],
)
def test_an_aim_is_reached_when_two_standard_errors_lie_within_it(
    shares: tuple[float, ...], low: float, reached: bool | None
) -> None:
    aims = (
        Aim("It falls heads", "main", {"side": "heads"}, "share", low=low),
        Aim("x", "main", {"side": "edge"}, "share"),
    )
    result = result_of(replace(STUDY, aims=aims), units(*shares), "ukdsl evidence coin")
    (aim,) = result["aims"]
    assert aim["reached"] is reached
    (said,) = aim_lines(result)
    assert {True: ": reached at", False: ": NOT reached at", None: ": one seed cannot tell"}[reached] in said
    assert f"* {said}" in document([(result, "")])


def test_the_long_form_has_every_figure() -> None:
    ((*names, mean, error, seeds),) = long_form(result_of(STUDY, units(0.2, 0.4), "ukdsl evidence coin"))
    assert (names, mean, error, seeds) == (["main", "heads", "share"], pytest.approx(0.3), pytest.approx(0.1), 2)


def test_details_are_folded_on_the_page() -> None:
    folded = replace(STUDY, tables=(replace(STUDY.tables[0], folded=True),))
    page = document([(result_of(folded, units(0.2, 0.4), "ukdsl evidence coin"), "")])
    assert "<details><summary>Sides</summary>\n\n| side | share |" in page
    assert "| heads, expected | 30% |\n\n</details>" in page


def test_a_narrow_terminal_breaks_headers_and_not_figures() -> None:
    (table,) = result_of(STUDY, units(0.2, 0.4), "ukdsl evidence coin")["tables"]
    wide = {**table, "figures": {"share of the falls on a side": ".1%"}, "beside": []}
    wide["lines"] = [{**line, "share of the falls on a side": line["share"]} for line in table["lines"]]
    console = Console(width=34, record=True)
    console.print(summary_table(wide))
    assert "30.0\u00a0+-\u00a010.0%" in console.export_text()
