"""Pages of a day before and after, of a real log and real students."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from tests.fixtures.released import published, store_of
from ukdsl_assets.declaration.cascade import Cascade
from ukdsl_assets.declaration.read import SHIPPED, read_cascade
from ukdsl_assets.evidence.worlds.module_rankers import augmented, labelled_modules, trained_teacher
from ukdsl_assets.frames.splits import withheld
from ukdsl_assets.lake.tables.lake import Lake
from ukdsl_assets.learning.students.fit import fit_student
from ukdsl_assets.learning.students.predict import predict_student
from ukdsl_assets.learning.students.training import Training
from ukdsl_assets.pipeline.page_examples import PageExamples, page_examples
from ukdsl_assets.reports.pages_section import pages_shown
from ukdsl_assets.settings import Settings
from ukdsl_assets.simulation.item_page import ItemPageWorld

pytestmark = pytest.mark.slow
CASCADE = read_cascade(SHIPPED / "simulated_item_page.yaml")
DAY = CASCADE.first_day
WORLD = ItemPageWorld(100)


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A day's candidates and both students, trained on them for a moment."""
    folder = tmp_path_factory.mktemp("pages") / "lake"
    candidates = labelled_modules(WORLD.serve(0, 200, WORLD.static_configuration), 0)
    rows = augmented(CASCADE, candidates, trained_teacher(CASCADE, [candidates.filter("shown")]))
    for student in CASCADE.students:
        quick = student.model_copy(update={"requests_per_batch": 8})
        fitted = fit_student(Training.of(CASCADE, quick, "distilled", rows[student.task])).student
        published(folder, CASCADE, student.name, fitted, DAY)
    settings = Settings(lake=str(folder))
    tables = Lake(settings.tables, settings.shards)
    log = candidates.drop("click", "purchase")
    tables.commit(tables.stage_frame((CASCADE.name, "candidate_log"), DAY, log), {})
    return folder


def made(lake: Path, cascade: Cascade = CASCADE) -> PageExamples | None:
    settings = Settings(lake=str(lake))
    return page_examples(Lake(settings.tables, settings.shards), store_of(lake), cascade, DAY)


def test_what_was_shown_stands_in_its_slots_beside_the_students_page_by_the_rules(lake: Path) -> None:
    candidates = labelled_modules(WORLD.serve(0, 200, WORLD.static_configuration), 0)
    examples = made(lake)
    assert examples is not None
    quiet = candidates.filter(~pl.col("explored").any().over("request_id"))
    ids = quiet["request_id"].unique()
    assert examples.requests == withheld(ids, CASCADE.withheld_share).sum()
    for example in examples.examples:
        rows = candidates.filter(request_id=int(example.request))
        in_slots = rows.filter("shown").sort("slot")["candidate_id"].cast(pl.String).to_list()
        assert [shown.candidate for shown in example.before] == in_slots
        kinds = [shown.words for shown in example.after]
        assert len(kinds) == 6
        assert max(kinds.count(kind) for kind in kinds) <= 2
        assert all(above != below for above, below in pairwise(kinds))
        after = {shown.candidate for shown in example.after}
        assert not after & {shown.candidate for shown in example.held_back}
    held = [len(example.held_back) for example in examples.examples]
    assert held == sorted(held, reverse=True)
    assert held[0] > 0
    # The best of all pages is worth no less than the best of those that keep the rules.
    assert examples.value_free >= examples.value_after > 0
    assert 0 <= examples.kept <= 1
    assert 0 < examples.changed <= examples.requests


def test_values_are_those_of_the_checkpoints_of_the_day(lake: Path) -> None:
    """Of one slot without rules, the page is worth the highest click times purchase that both students say."""
    page = CASCADE.page
    assert page is not None
    alone = page.model_copy(
        update={
            "slots": 1,
            "at_most": {},
            "not_side_by_side": (),
            "value": {"module_click": 0.0, "module_purchase": 1.0},
        }
    )
    examples = made(lake, CASCADE.model_copy(update={"page": alone}))
    assert examples is not None
    from ukdsl_assets.serving.released import load_student

    candidates = labelled_modules(WORLD.serve(0, 200, WORLD.static_configuration), 0)
    rows = candidates.filter(~pl.col("explored").any().over("request_id"))
    rows = rows.filter(withheld(rows["request_id"], CASCADE.withheld_share)).sort("request_id", "candidate_id")
    unslotted = rows.with_columns(slot=pl.lit(None, pl.Int64))
    students = (load_student(CASCADE, name, DAY, lake) for name in ("module_click", "module_purchase"))
    click, purchase = (predict_student(each, unslotted)[each.heads[-1]].astype(np.float64) for each in students)
    assert examples.value_after == pytest.approx((click * purchase).reshape(-1, 12).max(axis=1).mean())


def test_a_cascade_without_a_page_or_with_a_student_that_is_not_there_has_none(lake: Path, tmp_path: Path) -> None:
    assert made(lake, CASCADE.model_copy(update={"page": None})) is None
    assert made(tmp_path / "empty") is None


def test_the_section_says_of_how_many_requests_and_whose_predictions(lake: Path) -> None:
    examples = made(lake)
    shown = pages_shown(examples)
    assert shown is not None
    assert examples is not None
    [sentence] = shown["sentences"]
    assert f"Of {examples.requests} withheld requests that did not explore" in sentence
    assert "By the students' own predictions" in sentence
    assert len(shown["pictures"]) == len(examples.examples)
    for example, picture in zip(examples.examples, shown["pictures"], strict=True):
        assert f"request {example.request}" in picture
        for each in (*example.before, *example.after, *example.held_back):
            assert f">{each.candidate}</text>" in picture
        assert picture.count('class="slot new"') == len(
            {each.candidate for each in example.after} - {each.candidate for each in example.before}
        )
    assert pages_shown(None) is None
