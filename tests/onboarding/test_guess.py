"""What columns of raw logs are taken for: by their names, and by what holds of them whatever they are called."""

from datetime import timedelta

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fixtures.raw_logs import FEATURES, ROLES, raw_logs
from ukdsl_assets.errors import OnboardingError
from ukdsl_assets.onboarding.guess import Guessed, guess_mapping

CANDIDATES, CLICKS = raw_logs()


def roles(guessed: Guessed) -> dict[str, str | None]:
    """Column by what it is taken for, of the keys of ROLES."""
    stages = {stage.name: stage.column for stage in guessed.stages.stages}
    keys = {"request_id": guessed.keys.request, "candidate_id": guessed.keys.candidate}
    return keys | {"requested_at": guessed.keys.time.column, "shown": guessed.marks.shown} | stages


def features(guessed: Guessed) -> dict[str, str]:
    return {each.column: each.feature.kind for each in guessed.features.features}


def test_a_log_whose_columns_are_named_as_people_name_them() -> None:
    guessed = guess_mapping(CANDIDATES, CLICKS)
    assert roles(guessed) == ROLES
    assert set(features(guessed)) == FEATURES
    assert guessed.identifiers == "string"
    kinds = features(guessed)
    assert (kinds["emb"], kinds["tags"], kinds["department"], kinds["list_price"]) == (
        "vector", "multi_valued", "categorical", "numeric",
    )  # fmt: skip
    declared = {each.column: each.feature for each in guessed.features.features}
    assert declared["country"].side == "request"
    assert declared["country"].missing == "allowed"
    assert declared["list_price"].side == "candidate"
    assert declared["pos"].served_as == 1
    assert set(guessed.left_out) == {"comment", "batch"}
    assert [task.kind.name for task in guessed.tasks] == ["click"]
    assert {"stage ranking", "feature pos"} & {guess.what for guess in guessed.doubts} == {"feature pos"}


@settings(max_examples=8)
@given(st.permutations(CANDIDATES.columns), st.permutations(CLICKS.columns))
def test_names_and_order_do_not_matter_where_the_values_tell(order: list[str], of_clicks: list[str]) -> None:
    names = {name: f"c{place}" for place, name in enumerate(order)}
    shuffled = CANDIDATES.select(order).rename(names)
    guessed = guess_mapping(shuffled, CLICKS.select(of_clicks).rename({n: f"e{p}" for p, n in enumerate(of_clicks)}))
    assert roles(guessed) == {what: names[name] for what, name in ROLES.items()}
    # A place in the list is known by its name alone: without one it is an outcome.
    assert set(features(guessed)) == {names[name] for name in FEATURES - {"pos"}}
    assert not any(guess.sure for guess in guessed.guesses if guess.what in ("request_id", "candidate_id", "shown"))


def test_what_a_person_says_goes_before_what_is_guessed() -> None:
    twin = CANDIDATES.with_columns(other_id=pl.col("query_id") + "x", seen=pl.col("displayed"))
    said = {"request_id": "other_id", "shown": "seen", "event.request_id": "query_id"}
    guessed = guess_mapping(twin, CLICKS, said, [("light", "l1_score"), ("heavy", "l2_score")])
    assert (guessed.keys.request, guessed.marks.shown) == ("other_id", "seen")
    assert [stage.name for stage in guessed.stages.stages] == ["light", "heavy"]


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ({"request_idd": "query_id"}, "did you mean `request_id`"),
        ({"request_id": "qery_id"}, "did you mean `query_id`"),
    ],
)
def test_a_word_or_column_that_is_not_there_is_named(said: dict[str, str], words: str) -> None:
    with pytest.raises(OnboardingError, match=words):
        guess_mapping(CANDIDATES, CLICKS, said)


@pytest.mark.parametrize(
    ("without", "words"),
    [
        (["query_id"], "no column of request ids.*--column request_id=COLUMN"),
        (["logged_at"], "no column of times.*milliseconds.*--column requested_at=COLUMN"),
        (
            ["l1_score", "l2_score"],
            r"no column of predictions: looked for numbers in \[0, 1\].*--stage pre_ranking=COLUMN",
        ),
        (["displayed", "pos"], "no column says what was shown.*--column shown=COLUMN"),
    ],
)
def test_what_the_logs_must_have_is_missed_with_the_option_that_names_it(without: list[str], words: str) -> None:
    with pytest.raises(OnboardingError, match=f"(?s){words}"):
        guess_mapping(CANDIDATES.drop(without), CLICKS)


def test_a_candidate_that_stands_twice_in_a_request_is_told_with_an_example() -> None:
    twice = pl.concat([CANDIDATES, CANDIDATES[:1]])
    with pytest.raises(OnboardingError, match=r"several rows of one candidate.*1 of 2,881 rows.*'q000000'"):
        guess_mapping(twice, CLICKS)


def test_the_last_stage_alone_may_have_a_sentinel_for_what_it_did_not_score() -> None:
    coded = CANDIDATES.with_columns(pl.col("l2_score").fill_null(-1.0))
    stage = guess_mapping(coded, CLICKS).stages.stages[-1]
    assert (stage.name, stage.column) == ("ranking", "l2_score")


def test_outcomes_may_stand_on_the_candidates_and_impressions_among_the_events() -> None:
    clicks = CLICKS.select("query_id", "product_id").with_columns(clicked=True)
    flagged = CANDIDATES.join(clicks, on=["query_id", "product_id"], how="left").with_columns(
        pl.col("clicked").fill_null(False)
    )
    of_flags = guess_mapping(flagged, None)
    assert of_flags.marks.outcomes == ("clicked",)
    assert of_flags.marks.shown == "displayed"
    shown = CANDIDATES.filter("displayed").select("query_id", "product_id", happened_at="logged_at")
    events = pl.concat([CLICKS, shown.with_columns(what=pl.lit("view"))], how="diagonal_relaxed")
    of_events = guess_mapping(CANDIDATES.drop("displayed"), events)
    assert of_events.marks.shown is None
    assert of_events.events is not None
    assert of_events.events.impression == "view"
    assert "pos" in features(of_events)


def test_conversions_are_a_task_where_a_stage_predicts_them() -> None:
    converted = CANDIDATES.with_columns(l2_cvr=pl.col("l2_score") / 3)
    bought = CLICKS[::4].with_columns(pl.col("happened_at") + timedelta(days=2), what=pl.lit("purchase"))
    guessed = guess_mapping(converted, pl.concat([CLICKS, bought]))
    click, purchase = guessed.tasks
    assert (click.kind.name, click.kind.window, click.kind.delayed) == ("click", "P1D", False)
    assert (purchase.kind.name, purchase.kind.window, purchase.kind.delayed) == ("purchase", "P3D", True)
    assert purchase.predictions == {"ranking": "l2_cvr"}
    assert purchase.given == "click"


def test_what_only_tells_what_happened_is_no_feature() -> None:
    leaking = CANDIDATES.with_columns(
        paid=pl.when("displayed").then(pl.col("list_price") / 10).otherwise(0.0),
        depth=pl.col("pos").fill_null(0),
        dwell=pl.when("displayed").then(pl.col("list_price") / 2),
    )
    left_out = guess_mapping(leaking, CLICKS).left_out
    assert {"depth", "dwell"} <= set(left_out)


@pytest.mark.parametrize(
    ("events", "words"), [(CLICKS[:0], "events: no rows"), (CLICKS[:3], "fewer than 10 of one kind")]
)
def test_an_event_log_without_outcomes_is_told(events: pl.DataFrame, words: str) -> None:
    with pytest.raises(OnboardingError, match=words):
        guess_mapping(CANDIDATES, events)
