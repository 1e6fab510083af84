"""What a declaration may say, and how a wrong one is told."""

from pathlib import Path
from typing import Any, get_args

import pytest
import yaml

from ukdsl_assets.declaration.columns import prediction_column, truth_column
from ukdsl_assets.declaration.read import SHIPPED, read_cascade, read_cascades
from ukdsl_assets.declaration.teachers import Teacher
from ukdsl_assets.errors import DeclarationError
from ukdsl_assets.settings import PROJECT


def declared(tmp_path: Path, **changes: Any) -> Path:
    """The shipped simulated cascade with some keys replaced, as a file."""
    content = yaml.safe_load((SHIPPED / "simulated_ads.yaml").read_text()) | changes
    path = tmp_path / "wrong.yaml"
    path.write_text(yaml.safe_dump(content))
    return path


def changed(key: str, index: int, **changes: Any) -> dict[str, Any]:
    """One block of a list of the shipped cascade with some keys replaced."""
    content = yaml.safe_load((SHIPPED / "simulated_ads.yaml").read_text())
    content[key][index] |= changes
    return {key: content[key]}


def test_shipped_cascades_are_valid() -> None:
    assert {"simulated_ads", "kuairand"} <= read_cascades(SHIPPED).keys()


def test_two_lines_make_a_last_stage_that_labels_alone_train_one_that_a_foundation_teacher_teaches(
    tmp_path: Path,
) -> None:
    text = (SHIPPED / "simulated_last_stage.yaml").read_text()
    tasks = "    heads: [impression, dependent, auxiliary]\n"
    assert text.count(tasks) == 1
    path = tmp_path / "labels_alone.yaml"
    path.write_text(text.replace(tasks, "    heads: [impression]\n    loss: {consideration: 0}\n"))
    taught, alone = (
        read_cascade(each).student("ranking_click") for each in (SHIPPED / "simulated_last_stage.yaml", path)
    )
    assert taught.served_heads == alone.served_heads == ("impression",)
    assert (taught.teacher_tasks, alone.teacher_tasks) == (("dependent", "auxiliary"), ())
    same = {"heads", "loss"}
    assert taught.model_dump(exclude=same) == alone.model_dump(exclude=same)


def test_the_example_of_architectures_has_a_student_of_each() -> None:
    cascade = read_cascades(PROJECT / "examples" / "architectures")["architectures"]
    assert [each.architecture.kind for each in cascade.students] == [each.name for each in cascade.students]
    assert {each.name for each in cascade.students} == {"two_tower", "mlp", "dcn_v2", "deepfm", "lightgbm"}
    assert cascade.source.seed != read_cascade(SHIPPED / "simulated_ads.yaml").source.seed  # type: ignore[union-attr]


def test_trees_alone_are_no_network() -> None:
    students = read_cascades(PROJECT / "examples" / "architectures")["architectures"].students
    assert [each.name for each in students if not each.architecture.is_network] == ["lightgbm"]


def test_a_teacher_is_logged_or_trained_here_or_of_another_cascade() -> None:
    kinds = get_args(get_args(Teacher)[0])
    found = {get_args(each.model_fields["kind"].annotation)[0]: each for each in kinds}
    assert {name for name, each in found.items() if each.logged} == {"logged"}
    assert {name for name, each in found.items() if each.trained_here} == {"trained", "foundation"}
    assert {name for name, each in found.items() if each.foreign} == {"cross_domain"}


def test_students_get_the_features_known_at_their_stage() -> None:
    cascade = read_cascade(SHIPPED / "simulated_ads.yaml")
    known = {feature.name for feature in cascade.features_of(cascade.student("pre_ranking_click"))}
    assert "user_profile" in known
    assert "pair_signals" not in known
    assert "pair_signals" in {feature.name for feature in cascade.features_known_at("ranking")}


def test_a_selecting_students_rows_hold_its_candidates(tmp_path: Path) -> None:
    names = ["ad", "category", "hour", "device"]
    select = {"selection": {"budget": 2, "candidates": names}}
    cascade = read_cascade(declared(tmp_path, **changed("students", 1, features="selected", **select)))
    student = cascade.students[1]
    for features in (cascade.features_of(student), cascade.candidates_of(student), cascade.columns_of(student)):
        assert {feature.name for feature in features} == set(names)
    cascade = read_cascade(declared(tmp_path, **changed("students", 1, features=["ad", "placement"], **select)))
    student = cascade.students[1]
    assert {feature.name for feature in cascade.features_of(student)} == {"ad", "placement"}
    assert {feature.name for feature in cascade.columns_of(student)} == {*names, "placement"}
    assert cascade.candidates_of(cascade.students[0]) == ()


def test_stages_log_predictions_of_the_tasks_they_declare() -> None:
    cascade = read_cascade(SHIPPED / "simulated_ads.yaml")
    assert cascade.predictions_of("retrieval") == ("click",)
    assert cascade.predictions_of("ranking") == ("click", "conversion")
    assert prediction_column("ranking", "click") == "ranking_click_prediction"
    assert truth_column("click") == "audit_true_click"


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"stagess": []}, r"stagess: unknown key; did you mean `stages`\?"),
        ({"first_day": "soon"}, r"first_day: expected a day .* \(saw 'soon'\)"),
        (
            changed("tasks", 0, attribution_window=86400),
            r"tasks.click.attribution_window: expected a duration with its unit, .* \(saw 86400\)",
        ),
        ({"withheld_share": 1.5}, r"withheld_share: .*at most 0.9999 \(saw 1.5\)"),
        (
            {"source": {"kind": "oracle"}},
            r"source.kind: expected one of simulated, simulated_item_page, parquet, kuairand \(saw 'oracle'\)",
        ),
        ({"last_day": "2025-01-01"}, r"last_day: 2025-01-01 is before first_day"),
        (
            changed("students", 0, task="clicks"),
            r"students.retrieval_click.task: unknown name `clicks`, expected one of",
        ),
        (
            changed("features", 0, served_as=1),
            r"features.user_segment: .*`served_as` is for categorical features of the candidate without `known_from`",
        ),
        (changed("features", 8, served_as="first"), r"features.ad: .*`served_as` is 'first'; expected .* type integer"),
        (
            {
                **changed("features", 8, served_as=1),
                **changed("students", 1, selection={"budget": 2}),
            },
            r"students.pre_ranking_click.selection.candidates: `ad`: a feature with `served_as` is not known when",
        ),
        (
            changed("features", 6, hash_buckets=8),
            r"features.user_profile: .*`hash_buckets` is for categorical and multi_valued features",
        ),
        (
            {
                **changed("features", 8, kind="multi_valued"),
                **changed("students", 1, architecture="lightgbm", loss={}),
            },
            r"students.pre_ranking_click.features: `ad`: multi_valued features are for networks",
        ),
        (
            changed("students", 2, delayed_feedback=None),
            r"students.pre_ranking_conversion.delayed_feedback: task `conversion`: saw None, expected correct or wait",
        ),
        (
            changed("students", 0, delayed_feedback="wait"),
            r"students.retrieval_click.delayed_feedback: task `click`: saw wait, expected nothing",
        ),
        (changed("students", 0, teacher="oracle"), r"students.retrieval_click.teacher: unknown name `oracle`"),
        (
            changed("students", 1, features=["pair_signals", "ad"]),
            r"`pair_signals` is known only from stage ranking, not at pre_ranking",
        ),
        (changed("students", 1, features=["ad"]), r"two_tower needs features of both sides, saw candidate"),
        (
            changed("students", 1, heads=["consideration"]),
            r"`heads` is \[impression\], \[impression, consid.*saw \[consideration\]",
        ),
        (
            changed("students", 1, heads=["impression", "scored"]),
            r"`heads` is .*\[impression, consideration, scored\].*saw \[impression, scored\]",
        ),
        (
            changed("students", 1, heads=["impression", "auxiliary"], loss={"listwise": 0.5}),
            r"`loss.listwise` orders what serves",
        ),
        (changed("students", 1, labels="on_the_fly"), r"students.pre_ranking_click.labels: .* on the fly label those"),
        (
            changed("students", 1, task="conversion", correction="exploration"),
            r"students.pre_ranking_click.correction: labels of task `conversion` are delayed",
        ),
        (
            changed("students", 1, correction="explored"),
            r"students.pre_ranking_click.correction: expected one of none, exploration .*did you mean `exploration`\?$",
        ),
        (
            changed("students", 1, correction={"rate": 17.73, "of": "random exposure"}),
            r"1 wrong key.*\n  students.pre_ranking_click.correction.rate: expected less than 1 \(saw 17.73\)$",
        ),
        (changed("students", 1, correction={"rate": 0.2}), r"pre_ranking_click.correction.of: is required and missing"),
        (
            changed("students", 1, accept=["teacher_agrees_on_explored"]),
            r"students.pre_ranking_click.accept: unknown name .* did you mean `teacher_agrees_on_exploration`",
        ),
        (
            changed(
                "students",
                1,
                labels="on_the_fly",
                heads=["impression", "auxiliary"],
                auxiliary_tasks=["conversion"],
                loss={},
            ),
            r"auxiliary_tasks: labels on the fly are of the student's own task",
        ),
        (
            changed("students", 1, teacher="pre_ranking_logged"),
            r"is what pre_ranking itself logged; expected one of a later stage",
        ),
        (
            changed("students", 1, selection={"budget": 2, "architecture": "lightgbm"}, label_tasks=["conversion"]),
            r"selection.architecture: the student's heads or loss have parts for networks",
        ),
        (changed("students", 1, features="selected"), r"`selected` without a `selection`; declare one"),
        (changed("students", 1, selection={"rule": "union"}), r"expected one of `budget` .* and `cost_budget`"),
        (changed("students", 1, selection={"budget": 3, "cost_budget": 2}), r"expected one of `budget`"),
        (
            changed("students", 1, selection={"budget": 3, "rule": "luck"}),
            r"selection.rule: expected one of .*cost_aware.* \(saw 'luck'\)",
        ),
        (changed("students", 1, selection={"budget": 3, "rule": "cost_aware"}), r"rule cost_aware needs `cost_budget`"),
        (changed("students", 1, selection={"budget": 40}), r"selection.budget: 40 of 11 candidates leaves nothing to"),
        (changed("students", 1, selection={"budget": 1}), r"selection.budget: two_tower needs a feature of each side"),
        (changed("students", 1, selection={"cost_budget": 1.5}), r"cost_budget: 1.5 buys no student; .* cost 2.0"),
        (
            changed("students", 1, selection={"budget": 1, "candidates": ["ad", "category"]}),
            r"selection.candidates: two_tower needs features of both sides, saw candidate",
        ),
        (
            changed("students", 1, selection={"budget": 2, "candidates": ["ad", "hour", "pair_signals"]}),
            r"selection.candidates: `pair_signals` is known only from stage ranking, not at pre_ranking",
        ),
        (
            changed("students", 1, selection={"budget": 2, "candidates": ["ad", "hour", "adds"]}),
            r"selection.candidates: unknown name `adds`",
        ),
        (
            changed("students", 1, selection={"budget": 2, "architecture": "lightgbm"}, loss={"temperature": 2}),
            r"selection.architecture: the student's heads or loss have parts for networks",
        ),
        (changed("students", 0, name="ranking_logged"), r"`ranking_logged` is also a teacher's name"),
        (changed("students", 0, name="impressions"), r"students: `impressions` is the name of a table"),
        (changed("teachers", 0, stage="retrieval", name="a"), r"unknown name `pre_ranking_logged`"),
        (
            changed("teachers", 0, stage="rankin"),
            r"1 wrong key\(s\)\n  teachers.pre_ranking_logged.stage: unknown name `rankin`, .*`ranking`",
        ),
        (changed("stages", 2, predicts=[]), r"teachers.ranking_logged: stage ranking logs no prediction"),
        (changed("teachers", 1, stage="retrieval"), r"`ranking_logged` is of stage retrieval, before pre_ranking"),
        (changed("tasks", 0, attribution_window="PT0S"), r"tasks.click.attribution_window: expected more than"),
        (changed("tasks", 1, given="view"), r"tasks.conversion.given: unknown name `view`"),
        (changed("tasks", 0, given="conversion"), r"tasks.click.given: the conditions lead back to `click`"),
        ({"gates": {"volume": [2.0, 0.5]}}, r"gates.volume: .*expected \[lowest, highest\]"),
        (
            changed("students", 0, loss={"impression": 0}),
            r"students.retrieval_click.loss.impression: expected more than 0",
        ),
        (changed("features", 0, name="country"), r"features: `country` is declared twice"),
        (changed("features", 0, name="audit_true_click"), r"`audit_true_click` is reserved"),
        (changed("features", 0, name="ranking_click_prediction"), r"`ranking_click_prediction` is reserved"),
        (changed("features", 6, width=None), r"`width` is required for a vector feature"),
        (changed("stages", 0, predicts=["clicks"]), r"stages.retrieval.predicts: unknown name `clicks`"),
    ],
)
def test_wrong_declarations_name_file_key_and_what_was_expected(
    tmp_path: Path, changes: dict[str, Any], expected: str
) -> None:
    path = declared(tmp_path, **changes)
    with pytest.raises(DeclarationError, match=expected) as told:
        read_cascade(path)
    assert str(path) in str(told.value)


def test_predictions_that_would_share_a_column_are_refused(tmp_path: Path) -> None:
    window = {"attribution_window": "P1D"}
    changes = {
        "stages": [{"name": "a"}, {"name": "a_b"}],
        "tasks": [{"name": "b_c", "event": "x", **window}, {"name": "c", "event": "y", **window}],
        "features": [{"name": "country", "kind": "categorical", "side": "request"}],
        "teachers": [],
        "students": [],
    }
    with pytest.raises(DeclarationError, match="two predictions share the column `a_b_c_prediction`"):
        read_cascade(declared(tmp_path, **changes))


def test_a_file_that_is_no_mapping_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "list.yaml"
    path.write_text("- 1\n- 2\n")
    with pytest.raises(DeclarationError, match="expected a mapping"):
        read_cascade(path)


def test_unreadable_yaml_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "broken.yaml"
    path.write_text("name: [")
    with pytest.raises(DeclarationError, match="not readable as YAML"):
        read_cascade(path)


def test_two_files_of_one_name_are_refused(tmp_path: Path) -> None:
    (tmp_path / "same.yaml").write_text((SHIPPED / "simulated_ads.yaml").read_text())
    with pytest.raises(DeclarationError, match="is taken by"):
        read_cascades(SHIPPED, tmp_path)


def test_a_missing_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DeclarationError, match="no such folder"):
        read_cascades(tmp_path / "absent")


def test_a_declaration_takes_the_keys_that_it_leaves_out_from_the_one_that_it_extends(tmp_path: Path) -> None:
    (tmp_path / "other.yaml").write_text((SHIPPED / "simulated_ads.yaml").read_text())
    mine = tmp_path / "mine.yaml"
    mine.write_text("extends: other.yaml\nname: mine\ngates: {volume: [0.1, 9]}\n")
    other, found = read_cascade(tmp_path / "other.yaml"), read_cascade(mine)
    assert found.name == "mine"
    assert found.origin == str(mine)
    assert found.gates.volume == (0.1, 9.0)
    changed = {"name", "gates", "origin"}
    assert found.model_dump(exclude=changed) == other.model_dump(exclude=changed)


def test_declarations_that_extend_nothing_or_each_other_are_refused(tmp_path: Path) -> None:
    one, two = tmp_path / "one.yaml", tmp_path / "two.yaml"
    one.write_text("extends: two.yaml\nname: one\n")
    with pytest.raises(DeclarationError, match=r"two.yaml: not readable as YAML"):
        read_cascade(one)
    two.write_text("extends: one.yaml\nname: two\n")
    with pytest.raises(DeclarationError, match=r"two.yaml: extends: `one.yaml` leads back to itself"):
        read_cascade(one)


def test_a_file_may_be_named_by_a_text() -> None:
    path = SHIPPED / "simulated_ads.yaml"
    assert read_cascade(str(path)) == read_cascade(path)
