"""What an asset's page begins with, and the figures that stand there."""

import time

from ukdsl_assets.defs.graph.checks import errors_as_failures, result
from ukdsl_assets.defs.graph.pictures import VERDICT, verdict
from ukdsl_assets.gates import GateResult

PASSED = GateResult("calibrated", True, "fine")
FAILED = GateResult("no_worse", False, "worse")
UNJUDGED = GateResult.not_judged("explored", "too few rows")


def said(*results: GateResult, more: str = "", picture: str = "") -> str:
    return str(verdict(results, more, picture)[VERDICT].value)


def test_a_verdict_counts_the_checks_and_names_those_that_did_not_pass() -> None:
    assert said(PASSED, PASSED) == "**2 check(s): all passed.**"
    told = said(PASSED, FAILED, UNJUDGED)
    assert told == "**3 check(s): 1 failed: no_worse; 1 not judged: explored.**"


def test_a_verdict_is_as_long_as_dagster_shows_at_once_and_holds_its_picture() -> None:
    picture = "![click](/reports/shop/2026-03-01/click.png)"
    told = said(PASSED, more="\n".join(["a line of forty characters, more or less"] * 100), picture=picture)
    assert 800 < len(told) < 1000
    assert told.split("\n\n")[1] == picture
    assert told.count("a line of forty characters, more or less") == told.count("a line")


def test_figures_are_rounded_for_people_and_a_step_tells_its_seconds() -> None:
    with errors_as_failures():
        time.sleep(0.02)
        made = result(("shop", "click", "evaluation"), "v1", {"ne": 0.98765432, "rows": 123456, "nan": float("nan")})
    metadata = dict(made.metadata or {})
    assert metadata["ne"] == float("0.9877")
    assert metadata["rows"] == 123456
    seconds = metadata["seconds"]
    assert isinstance(seconds, float)
    assert 0.02 <= seconds < 60
    assert str(made.asset_key and made.asset_key.to_user_string()) == "shop/click_evaluation"
