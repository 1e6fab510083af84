"""Weights of a purchase, and a small world through the study of pages."""

from pathlib import Path

import numpy as np
import pytest

from ukdsl_assets.evidence.figures import PAGE_CURVE, write_figures
from ukdsl_assets.evidence.studies.pages import DECLARED, FREE, STATIC, STUDY, TRUTH, WEIGHTS, measure, told, weighing
from ukdsl_assets.evidence.summary import result_of
from ukdsl_assets.evidence.units import Unit, settings_of
from ukdsl_assets.pages.rules import PageRules, value_of


def test_a_weight_is_of_purchases_where_a_click_has_one() -> None:
    rules = PageRules(1, (1.0,), terms=((3.0, ("bought", "clicked")), (7.0, ("clicked",))))
    predictions = {"clicked": np.array([0.1, 0.2]), "bought": np.array([0.5, 0.25])}
    assert value_of(weighing(rules, 4.0), predictions) == pytest.approx([0.1 + 4 * 0.05, 0.2 + 4 * 0.05])
    assert value_of(weighing(rules, 0.0), predictions) == pytest.approx([0.1, 0.2])
    assert value_of(weighing(rules, np.inf), predictions) == pytest.approx([0.05, 0.05])
    assert [told(weight) for weight in (0.0, 5.0, np.inf)] == ["0", "5", "purchases alone"]


@pytest.mark.slow
def test_a_small_world_through_the_study(tmp_path: Path) -> None:
    settings = settings_of(STUDY, 100, {"pages": 300, "days": 1, "judged": 1})
    rows = measure(settings, tmp_path, lambda done, steps: None)
    by = {line["page"]: line for line in rows["earned"]}
    assert by[STATIC]["clicks vs static"] == by[STATIC]["purchases vs static"] == 0
    # The truth's own page earns more of the weighted sum than any other page that keeps the rules.
    assert by[TRUTH]["clicks vs static"] > by[DECLARED]["clicks vs static"]
    assert 0 < by[DECLARED]["changed by rules"] < 1
    curve = {(line["rules"], line["weight"]): line["clicks vs static"] for line in rows["curve"]}
    assert len(curve) == 2 * len(WEIGHTS)
    assert curve["yes", "5"] == by[DECLARED]["clicks vs static"]
    assert curve["no", "5"] == by[FREE]["clicks vs static"]
    result = result_of(STUDY, [Unit(settings, rows, 1.0, 1.0)], "none")
    assert write_figures([result], tmp_path) == [tmp_path / PAGE_CURVE]
