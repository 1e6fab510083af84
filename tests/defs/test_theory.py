"""The assets of section 3 as they are launched, in full."""

from pathlib import Path

import dagster as dg
import polars as pl
import pytest

from ukdsl_assets.defs.build import build_defs
from ukdsl_assets.lake.tables.undated import read_whole
from ukdsl_assets.settings import Settings
from ukdsl_assets.theory.claims import BIAS_CLAIMS, STAGE_CLAIMS, judge_bias, judge_stages

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    return Settings(lake=str(tmp_path_factory.mktemp("lake")), examples="theory")


@pytest.fixture(scope="module")
def run(settings: Settings) -> dg.ExecuteInProcessResult:
    with dg.DagsterInstance.ephemeral() as instance:
        return build_defs(settings, {}).resolve_job_def("theory").execute_in_process(instance=instance)


def table(settings: Settings, name: str) -> pl.DataFrame:
    return read_whole(settings.tables, ("theory", name))


def test_every_claim_of_section_3_holds(run: dg.ExecuteInProcessResult) -> None:
    judged = {evaluation.check_name: evaluation.passed for evaluation in run.get_asset_check_evaluations()}
    assert judged == dict.fromkeys([*BIAS_CLAIMS, *STAGE_CLAIMS], True)


def test_the_figure_is_kept_for_print_and_shown(run: dg.ExecuteInProcessResult, settings: Settings) -> None:
    assert (Path(settings.lake) / "figures" / "two_stage_calibration.pdf").read_bytes().startswith(b"%PDF")
    (made,) = run.asset_materializations_for_node("theory__two_stage_calibration")
    assert "data:image/png" in str(made.metadata["figure"].value)


@pytest.mark.usefixtures("run")
def test_a_model_that_is_right_everywhere_is_not_taken_for_an_over_predicting_one(settings: Settings) -> None:
    bias = table(settings, "selection_bias_curves")
    assert failed(judge_bias(bias.with_columns(drawn_calibration=1.0))) >= {
        "the_selected_are_over_predicted",
        "drawing_agrees_with_the_closed_form",
    }
    assert failed(judge_bias(bias.with_columns(pl.col("drawn_truth").reverse()))) == {
        "larger_noise_promises_more_and_earns_less"
    }


@pytest.mark.usefixtures("run")
@pytest.mark.parametrize(
    ("column", "factor", "claims"),
    [
        ("drawn_stage_2_calibration", 0.98, {"stage_2_calibrated_when_errors_are_independent"}),
        ("drawn_stage_1_calibration", 0.7, {"stage_1_over_predicts_on_s_1"}),
        ("drawn_cross_stage_calibration", 1.3, {"correlated_errors_hide_in_the_cross_stage_ratio"}),
        ("drawn_stage_2_calibration", 0.9, {"stage_2_over_predicts_on_its_own_selection"}),
    ],
)
def test_a_claim_that_does_not_hold_fails(settings: Settings, column: str, factor: float, claims: set[str]) -> None:
    changed = table(settings, "two_stage_calibration").with_columns(pl.col(column) * factor)
    agreement = {"drawing_agrees_with_the_closed_form", "drawing_agrees_with_the_quadrature"}
    assert failed(judge_stages(changed)) >= claims | agreement


def failed(results: list) -> set[str]:
    return {result.name for result in results if not result.passed}
