"""What columns of raw logs are taken for: by their names, and by what holds of them whatever they are called."""

from datetime import timedelta
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fixtures.raw_logs import FEATURES, ROLES, raw_logs
from ukdsl_assets.declaration.read import read_cascade
from ukdsl_assets.errors import OnboardingError
from ukdsl_assets.onboarding.columns import as_flags, flags_expression
from ukdsl_assets.onboarding.declaration_text import declaration_text
from ukdsl_assets.onboarding.guess import Guessed, guess_mapping
from ukdsl_assets.onboarding.mapping_script import mapping_script

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


def test_where_all_rows_stand_twice_it_is_told_too() -> None:
    with pytest.raises(OnboardingError, match=r"2,880 of 5,760 rows have a \(query_id, product_id\)"):
        guess_mapping(pl.concat([CANDIDATES, CANDIDATES]), CLICKS)


def numbered(frame: pl.DataFrame, dtype: type[pl.DataType]) -> pl.DataFrame:
    """With ids that are numbers: above 0, and so many that a request's are no places in a list."""
    return frame.with_columns(
        (pl.col("query_id").str.slice(1).cast(pl.Int64) + 1_000).cast(dtype),
        (pl.col("product_id").str.slice(4).cast(pl.Int64) * 7 + 100).cast(dtype),
    )


@pytest.mark.parametrize(
    ("of_candidates", "of_events"), [(pl.Float64, pl.Float64), (pl.Int64, pl.Float64), (pl.Float64, pl.String)]
)
def test_ids_that_became_fractions_are_whole_numbers(
    of_candidates: type[pl.DataType], of_events: type[pl.DataType]
) -> None:
    events = numbered(CLICKS, pl.Int64).with_columns(pl.col("query_id", "product_id").cast(of_events))
    guessed = guess_mapping(numbered(CANDIDATES, of_candidates), events)
    assert roles(guessed) == ROLES
    assert features(guessed)["product_id"] == "categorical"
    assert guessed.events is not None
    assert guessed.events.request == "query_id"
    assert guessed.identifiers == ("string" if of_events == pl.String else "integer")


def test_rows_without_an_id_are_counted() -> None:
    row = pl.int_range(pl.len())
    for dtype in (pl.Int64, pl.Float64):
        some = numbered(CANDIDATES, dtype).with_columns(pl.when(row != 3, row != 7).then("product_id"))
        with pytest.raises(OnboardingError, match="2 of 2,880 rows have no `product_id`, the first of them row 3"):
            guess_mapping(some, CLICKS)


@pytest.mark.parametrize(
    ("yes", "no"), [("yes", "no"), ("1", "0"), ("on", "off"), (1.0, 0.0), ("1.0", "0.0"), (" Y ", "")]
)
def test_yes_and_no_are_written_in_many_ways(yes: object, no: object) -> None:
    written = CANDIDATES.with_columns(displayed=pl.when("displayed").then(pl.lit(yes)).otherwise(pl.lit(no)))
    guessed = guess_mapping(written, CLICKS)
    assert guessed.marks.shown == "displayed"
    flags = eval(flags_expression(guessed.columns["displayed"]), {"pl": pl})
    assert written.select(flags).to_series().equals(CANDIDATES["displayed"])
    assert as_flags(guessed.columns["displayed"]).equals(CANDIDATES["displayed"])  # type: ignore[union-attr]


def test_marks_that_are_not_known_are_told_with_their_values() -> None:
    for marked, words in (
        (pl.when("displayed").then(pl.lit("ja")).otherwise(pl.lit("nein")), "`displayed` with 'ja', 'nein'"),
        (pl.lit(True), "`displayed`, true on 100% of the rows"),
    ):
        with pytest.raises(OnboardingError, match="no column says what was shown") as told:
            guess_mapping(CANDIDATES.with_columns(displayed=marked).sort("l2_score", descending=True), CLICKS)
        assert f"Saw {words}" in str(told.value).replace("'nein', 'ja'", "'ja', 'nein'")


def test_impressions_alone_are_no_clicks() -> None:
    with pytest.raises(OnboardingError, match="fewer than 10 of one kind beside impressions"):
        guess_mapping(CANDIDATES, CLICKS.with_columns(what=pl.lit("impression")))


def test_columns_that_hold_columns_are_told_with_what_to_do() -> None:
    nested = CANDIDATES.with_columns(scores=pl.struct("l1_score", "l2_score")).drop("l1_score", "l2_score")
    with pytest.raises(OnboardingError, match=r"scores \(holds l1_score, l2_score: write each as a column"):
        guess_mapping(nested, CLICKS)
    by_request = CANDIDATES.group_by("query_id", "logged_at").agg(ads=pl.struct("product_id", "l1_score"))
    with pytest.raises(OnboardingError, match=r"ads \(a list of product_id, l1_score: write a row for each"):
        guess_mapping(by_request, CLICKS)


def test_a_column_may_be_called_anything(tmp_path: Path) -> None:
    names = {"country": "class", "department": "no", "fresh": "# x\ny", "member": "null", "list_price": '"{{ a }}\\'}
    guessed = guess_mapping(CANDIDATES.rename(names), CLICKS.with_columns(what=pl.lit("click\nnow")))
    compile(mapping_script(guessed, "parquet", "parquet"), "mapping.py", "exec")
    assert {"class_feature", "no_feature", "null_feature"} <= {each.feature.name for each in guessed.features.features}
    (tmp_path / "shop.yaml").write_text(declaration_text(guessed, "shop", *guessed.days, 100.0))
    assert read_cascade(tmp_path / "shop.yaml").features[0].name == "product_id"


def test_hashes_of_64_bits_are_texts() -> None:
    hashed = [frame.with_columns(pl.col("product_id").hash()) for frame in (CANDIDATES, CLICKS)]
    guessed = guess_mapping(hashed[0], hashed[1])
    product = next(each for each in guessed.features.features if each.column == "product_id")
    assert (guessed.identifiers, product.feature.values) == ("string", "string")


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ({"request_id": "l1_score"}, r"request_id=l1_score: expected texts or whole numbers; saw Float64 such as"),
        ({"candidate_id": "emb"}, r"candidate_id=emb: expected texts or whole numbers; saw List"),
        ({"requested_at": "country"}, r"requested_at=country: expected times.*saw String such as \['"),
        ({"shown": "emb"}, r"shown=emb: expected true and false, or 0 and 1; saw List"),
        ({"bid": "country"}, "bid=country: expected numbers; saw String"),
        ({"event.value": "what"}, r"event\.value=what: expected numbers; saw String such as \['click'\]"),
        ({"event.event": "happened_at"}, "expected texts that tell events apart; saw Datetime"),
    ],
)
def test_a_column_of_another_kind_than_what_it_is_said_to_be_is_told(said: dict[str, str], words: str) -> None:
    with pytest.raises(OnboardingError, match=words):
        guess_mapping(CANDIDATES, CLICKS, said)


@pytest.mark.parametrize(
    ("stages", "words"),
    [
        ([("a b", "l1_score")], "--stage a b=l1_score: expected a name of a-z"),
        ([("no", "l1_score")], "--stage no=l1_score: expected a name of a-z"),
        ([("a", "l1_score"), ("a", "l2_score")], "--stage a=l2_score: a stage or a column that was named before"),
        ([("a", "l1_score"), ("b", "l1_score")], "--stage b=l1_score: a stage or a column that was named before"),
        ([("a", "country")], "--stage a=country: expected numbers; saw String"),
    ],
)
def test_stages_that_cannot_be_declared_are_told_before_anything_is_written(
    stages: list[tuple[str, str]], words: str
) -> None:
    with pytest.raises(OnboardingError, match=words):
        guess_mapping(CANDIDATES, CLICKS, stages=stages)


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
