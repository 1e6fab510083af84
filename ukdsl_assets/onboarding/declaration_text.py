"""The declaration of a new project as YAML that says what each line means."""

import json
from datetime import date
from typing import Any

from ukdsl_assets.onboarding.guess import Guessed, TaskGuess, is_early
from ukdsl_assets.onboarding.templates import filled_in

TEMPLATE = "cascade.yaml.jinja"
# Positive labels among a day's withheld requests from which one day is enough to judge by.
_ENOUGH_POSITIVES = 200
_WITHHELD = 0.2
_MOST_SEGMENTS, _MOST_VALUES = 2, 20
_KEYS = ("name", "kind", "values", "width", "most_values", "side", "known_from", "served_as", "missing")


def declaration_text(
    guessed: Guessed, name: str, first_day: date, last_day: date | None, labels_a_day: float, note: str = ""
) -> str:
    """One student of the last stage but one, taught by what the next stage logged; of one stage alone, by trees.

    Args:
        first_day, last_day: of the logs; last_day None where they go on.
        labels_a_day: positive labels of the first task, which say by how many days to judge.
        note: shown wherever results are, such as simulated; empty for none.
    """
    stages, withheld = guessed.stages.stages, labels_a_day * _WITHHELD
    student, teacher = (stages[-2], stages[-1]) if len(stages) > 1 else (stages[0], stages[0])
    early = [each for each in guessed.features.features if is_early(each.feature.known_from, guessed.stages)]
    before = guessed.events.before if guessed.events is not None else 0.0
    return filled_in(
        TEMPLATE,
        name=name,
        note=json.dumps(note) if note else "",
        first_day=first_day,
        last_day=last_day,
        identifiers=guessed.identifiers,
        has_bid=guessed.marks.bid is not None,
        bid_check=guessed.doubt("bid"),
        withheld_share=_WITHHELD,
        positives=round(withheld),
        evaluation_days=1 if withheld >= _ENOUGH_POSITIVES else 7,
        segments=[
            each.feature.name
            for each in early
            if each.feature.kind == "categorical"
            and each.feature.side == "request"
            and 1 < guessed.columns[each.column].distinct <= _MOST_VALUES
        ][:_MOST_SEGMENTS],
        tolerance=min(int(2 * before) + 1, 3600) if before > 0 else 0,
        stages=[
            {
                "name": stage.name,
                "predicts": _predicts(stage.name, guessed.tasks),
                "check": guessed.doubt(f"stage {stage.name}"),
            }
            for stage in stages
        ],
        tasks=[_task(task) for task in guessed.tasks],
        features=[
            {
                "declared": _keys(each.feature.model_dump(exclude_defaults=True, exclude_none=True)),
                "check": guessed.doubt(f"feature {each.feature.name}"),
            }
            for each in guessed.features.features
        ],
        teacher={
            "name": f"{teacher.name}_{'logged' if len(stages) > 1 else 'trees'}",
            "stage": teacher.name,
            "logged": len(stages) > 1,
        },
        student={"stage": student.name, "one_side": len({each.feature.side for each in early}) < 2},
    )


def _predicts(stage: str, tasks: tuple[TaskGuess, ...]) -> str:
    """The tasks that a stage predicts, with commas; empty where it predicts all."""
    names = [task.kind.name for task in tasks if stage in task.predictions]
    return "" if len(names) == len(tasks) else ", ".join(names)


def _task(task: TaskGuess) -> dict[str, Any]:
    kind = task.kind
    return {"name": kind.name, "window": kind.window, "delayed": kind.delayed, "given": task.given}


def _keys(declared: dict[str, object]) -> str:
    return ", ".join(f"{key}: {declared[key]}" for key in _KEYS if key in declared)
