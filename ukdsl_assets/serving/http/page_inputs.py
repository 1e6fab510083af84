"""What `/rank` needs to know of a cascade before the first request: students, rules, and which features to check."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal

from ukdsl_assets.declaration.cascade import Cascade
from ukdsl_assets.declaration.page import ThompsonExploration
from ukdsl_assets.declaration.parts import Feature
from ukdsl_assets.pages.rules import PageRules, discounts, page_rules
from ukdsl_assets.serving.onnx_metadata import Input


@dataclass(frozen=True)
class PageInputs:
    """A cascade's page; one that declares none shows all candidates by the first student's prediction.

    Attributes:
        cascade: that the page is of.
        with_logs: whether pages are logged, so that every feature must be there.
    """

    cascade: Cascade
    with_logs: bool

    def rules_for(self, candidates: int) -> PageRules:
        """The declared rules, or a slot for each candidate."""
        if self.cascade.page is not None:
            return self._declared
        return PageRules(candidates, discounts(candidates), ((1.0, (self.cascade.students[0].name,)),))

    def static_rules_for(self, candidates: int) -> PageRules:
        """The same for the static order. Without values there is nothing to draw values about."""
        rules = self.rules_for(candidates)
        return replace(rules, exploration=None) if isinstance(rules.exploration, ThompsonExploration) else rules

    @cached_property
    def _declared(self) -> PageRules:
        return page_rules(self.cascade)

    @cached_property
    def logged_predictions(self) -> Mapping[str, str]:
        """Task whose prediction the log must have -> the student that makes it; empty without logs."""
        if not self.with_logs:
            return {}
        stage = self.cascade.stages[0].name
        by_task = {student.task: student.name for student in reversed(self.cascade.students)}
        by_task |= {self.cascade.student(name).task: name for name in self.rules_for(1).students}
        return {task: by_task[task] for task in self.cascade.predictions_of(stage)}

    @cached_property
    def students(self) -> tuple[str, ...]:
        """The students that score a page."""
        return tuple(dict.fromkeys((*self.rules_for(1).students, *self.logged_predictions.values())))

    @cached_property
    def features(self) -> tuple[Feature, ...]:
        """The features that a page gives: those of its students and rules, or of the whole log."""
        wanted = {feature for name in self.students for feature in self.cascade.features_of(self.cascade.student(name))}
        of_rules = self.rules_for(1).features
        return tuple(
            feature
            for feature in self.cascade.features
            if feature.served_as is None and (self.with_logs or feature in wanted or feature.name in of_rules)
        )

    @cached_property
    def checked(self) -> tuple[Input, ...]:
        """Features that are checked whether a model reads them or not: those of the rules, or of the whole log."""
        of_rules = self.rules_for(1).features
        return tuple(input_of(feature) for feature in self.features if self.with_logs or feature.name in of_rules)

    def rule_columns(
        self, request: Mapping[str, Any], candidates: Sequence[Mapping[str, Any]]
    ) -> dict[str, Sequence[Any]]:
        """Values of the rules' features, one a candidate."""
        sides = {feature.name: feature.side for feature in self.features}
        return {
            name: [request[name]] * len(candidates) if sides[name] == "request" else [each[name] for each in candidates]
            for name in self.rules_for(1).features
        }


def input_of(feature: Feature) -> Input:
    """A declared feature as an input whose values are checked, and neither hashed nor marked."""
    dtype: Literal["int64", "string", "float32"] = (
        "float32" if not feature.of_ids else "int64" if feature.values == "integer" else "string"
    )
    return Input(
        feature.name,
        feature.kind,
        feature.side,
        dtype,
        feature.missing,
        width=feature.width,
        most_values=feature.most_values if feature.kind == "multi_valued" else None,
    )
