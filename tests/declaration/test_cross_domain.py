"""A teacher from another cascade: what its declaration may say, and how a wrong one is told."""

from typing import Any

import pytest

from ukdsl_assets.declaration.cascade import Cascade
from ukdsl_assets.declaration.cross_domain import check_cross_domain, models_of, wrong_features
from ukdsl_assets.declaration.examples import with_their_teachers
from ukdsl_assets.declaration.parts import Feature
from ukdsl_assets.declaration.read import SHIPPED, read_cascades
from ukdsl_assets.declaration.teachers import CrossDomainTeacher
from ukdsl_assets.errors import DeclarationError

CASCADES = read_cascades(SHIPPED)
TARGET = CASCADES["simulated_small_surface"]
MAPPING = TARGET.teachers[0].model_dump()


def declared(**changes: Any) -> dict[str, Cascade]:
    """The shipped cascades with some keys of the small surface's teacher replaced."""
    content = {**TARGET.model_dump(), "teachers": [{**MAPPING, **changes}]}
    return {**CASCADES, TARGET.name: Cascade.model_validate(content)}


def test_shipped_mappings_hold() -> None:
    check_cross_domain(CASCADES)


def test_a_cascade_needs_itself_and_those_that_teach_it_and_their_teachers() -> None:
    names = {name: set(with_their_teachers(CASCADES, [cascade.name])) for name, cascade in CASCADES.items()}
    assert names["simulated_ads"] == {"simulated_ads"}
    assert names[TARGET.name] == {TARGET.name, "simulated_ads"}
    for name, cascade in CASCADES.items():
        # What is needed is enough to be checked by itself.
        check_cross_domain(with_their_teachers(CASCADES, [cascade.name]))
        assert all(names[other] <= names[name] for other in names[name])


def test_students_and_trained_teachers_can_teach_with_their_features_and_tasks() -> None:
    models = models_of(CASCADES["kuairand"])
    assert {"foundation", "click", "long_view"} <= set(models)
    assert models["foundation"][1] == ("is_click", "long_view")
    assert models["click"][1] == ("is_click",)
    assert "user_click_rate" in [feature.name for feature in models["foundation"][0]]
    assert "user_click_rate" not in [feature.name for feature in models["click"][0]]
    assert {"retrieval_click", "pre_ranking_click"} <= set(models_of(CASCADES["simulated_ads"]))


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"cascade": "simulated_adz"}, r"cascade: expected another declared cascade, .*saw `simulated_adz`"),
        ({"cascade": TARGET.name}, r"cascade: expected another declared cascade"),
        ({"model": "ranking_logged"}, r"model: `ranking_logged` is no trained teacher or student of simulated_ads"),
        ({"tasks": {"click": "buy"}}, r"tasks.click: simulated_ads/pre_ranking_click predicts no task `buy`"),
        (
            {"features": {**MAPPING["features"], "age": "segment"}},
            r"features.age: simulated_ads/pre_ranking_click has no feature `age`",
        ),
        (
            {"features": {**MAPPING["features"], "placement": "position"}},
            r"features.placement: simulated_small_surface has no feature `position` at stage ranking",
        ),
        (
            {"features": {**MAPPING["features"], "placement": "profile"}},
            r"features.placement: `profile` of simulated_small_surface is a vector of 4 numbers, "
            r"simulated_ads/pre_ranking_click expects a categorical of integer ids",
        ),
        (
            {"features": {**MAPPING["features"], "placement": "ad"}},
            r"features.placement: `ad` of simulated_small_surface differs between the candidates of a request",
        ),
        (
            {"features": {"user_segment": "segment", "user_profile": "profile", "advertiser": "seller"}},
            r"features: simulated_ads/pre_ranking_click needs `placement`, which simulated_small_surface has not",
        ),
        (
            {"defaults": {**MAPPING["defaults"], "placement": 1}},
            r"defaults.placement: is mapped under `features` too",
        ),
        (
            {"defaults": {**MAPPING["defaults"], "device": "phone"}},
            r"defaults.device: saw 'phone', simulated_ads/pre_ranking_click expects a categorical of integer ids",
        ),
        (
            {"features": {}, "defaults": {**MAPPING["defaults"], "user_profile": [0.0, 0.0]}},
            r"defaults.user_profile: saw \(0.0, 0.0\), .* expects a vector of 4 numbers",
        ),
    ],
)
def test_wrong_mappings_name_both_cascades_and_the_key(changes: dict[str, Any], expected: str) -> None:
    with pytest.raises(DeclarationError, match=expected) as told:
        check_cross_domain(declared(**changes))
    assert TARGET.name in str(told.value)
    assert "simulated_ads" in str(told.value)
    assert "teachers.ads_click." in str(told.value)


def test_a_task_that_the_teacher_does_not_label_cannot_be_taught() -> None:
    content = TARGET.model_dump()
    content["students"] = [{**content["students"][0], "task": "conversion", "label_tasks": []}]
    with pytest.raises(ValueError, match="`ads_click` maps no task to `conversion`"):
        Cascade.model_validate(content)
    content["teachers"] = [{**MAPPING, "tasks": {"clicks": "click"}}]
    with pytest.raises(ValueError, match=r"teachers.ads_click.tasks: unknown name `clicks`"):
        Cascade.model_validate(content)


def test_a_hidden_layer_is_matched_only_where_the_model_has_one() -> None:
    content = TARGET.model_dump()
    content["students"] = [{**content["students"][0], "heads": ["impression", "representation"]}]
    cascades = {**CASCADES, TARGET.name: Cascade.model_validate(content)}
    with pytest.raises(DeclarationError, match=r"simulated_ads/pre_ranking_click has no hidden layer") as told:
        check_cross_domain(cascades)
    assert "teachers.ads_click.model" in str(told.value)


def test_numbers_that_may_be_missing_here_need_a_model_that_knows_it() -> None:
    ours = {"name": "x", "kind": "numeric", "side": "candidate"}
    cascade = TARGET.model_copy(update={"features": (Feature.model_validate(ours | {"missing": "allowed"}),)})
    plain = CrossDomainTeacher.model_validate({**MAPPING, "features": {}, "defaults": {}})
    knows, not_knows = (Feature.model_validate(ours | {"missing": missing}) for missing in ("allowed", "refused"))
    assert [*wrong_features(plain, cascade, [knows])] == []
    (problem,) = wrong_features(plain, cascade, [not_knows])
    assert "features.x: `x` of simulated_small_surface may be missing" in problem
    assert "`missing: allowed`" in problem
    absent = CrossDomainTeacher.model_validate({**MAPPING, "features": {}, "defaults": {"x": None}})
    assert [*wrong_features(absent, cascade, [knows])] == []
    assert len([*wrong_features(absent, cascade, [not_knows])]) == 1


def test_null_has_one_meaning() -> None:
    slot = {"name": "slot", "kind": "categorical", "side": "candidate", "served_as": 1, "missing": "allowed"}
    with pytest.raises(ValueError, match="without `served_as`"):
        Feature.model_validate(slot)
