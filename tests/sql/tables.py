"""Runs the shipped models on frames, for tests."""

from collections.abc import Mapping
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import polars as pl

from ukdsl_assets.cascade import SHIPPED, Cascade, read_cascade
from ukdsl_assets.declared_students import Student
from ukdsl_assets.declared_teachers import LoggedTeacher
from ukdsl_assets.settings import PROJECT
from ukdsl_assets.sources.contract import DayOfLogs
from ukdsl_assets.sql.context import parameters_for, template_context
from ukdsl_assets.sql.model import read_models
from ukdsl_assets.sql.render import RenderedModel, render
from ukdsl_assets.sql.run import run_model

DAY = date(2026, 3, 7)
KNOWN_UNTIL = datetime(2026, 3, 8, 5, tzinfo=UTC)
KEYS = ["request_id", "candidate_id"]
MODELS = read_models(PROJECT / "dbt_like_sql")
ADS = read_cascade(SHIPPED / "simulated_ads.yaml")
STUDENT = ADS.student("pre_ranking_click")
# String identifiers, a silent first stage, labels that hang on labels, no bid and no truth; its features and a task
# are called like words of SQL, tables, and columns that the models might use for themselves.
SHOP = Cascade.model_validate(
    {
        "name": "shop",
        "description": "test",
        "first_day": DAY,
        "identifiers": "string",
        "stages": [
            {"name": "recall", "predicts": [], "consideration_rate": 0.5},
            {"name": "sort"},
            {"name": "final", "predicts": ["click"]},
        ],
        "tasks": [
            {"name": "click", "event": "click", "attribution_window": "PT1H"},
            {"name": "order", "event": "purchase", "attribution_window": "P1D", "given": "click"},
            {"name": "refund", "event": "refund", "attribution_window": "P30D", "given": "order"},
        ],
        "features": [
            {"name": "select", "kind": "categorical", "values": "string", "side": "request"},
            {"name": "group", "kind": "numeric", "side": "request", "known_from": "sort"},
            {"name": "rate", "kind": "numeric", "side": "candidate"},
            {"name": "impressions", "kind": "vector", "width": 2, "side": "candidate"},
            {"name": "list", "kind": "multi_valued", "values": "string", "side": "candidate"},
        ],
        "source": {"kind": "parquet", "path": "unused"},
        "teachers": [{"name": "sorter", "kind": "logged", "stage": "sort"}],
        "students": [{"name": "recall_order", "stage": "recall", "task": "order", "teacher": "sorter"}],
    }
)


def rendered(name: str, cascade: Cascade = ADS, student: Student | None = None, **teacher: Any) -> RenderedModel:
    """A shipped model for a cascade."""
    return render(MODELS[name], template_context(cascade, student, **teacher))


def models_of(cascade: Cascade, student: Student) -> dict[str, RenderedModel]:
    """All shipped models by name, each after those it reads, for one student and its logged teacher."""
    of_scope: dict[str, dict[str, Any]] = {
        "cascade": {},
        "teacher": {"teacher": cascade.teacher(student.teacher)},
        "student": {"student": student},
    }
    names = ("impressions", "considerations", "stage_calibration", "logged_teacher_labels", "teacher_augmented")
    return {name: rendered(name, cascade, **of_scope[MODELS[name].scope]) for name in names}


def written(
    folder: Path, frames: Mapping[str, pl.DataFrame], row_group_size: int | None = None
) -> dict[str, list[str]]:
    """Each frame as a Parquet file of its table's name."""
    for table, frame in frames.items():
        frame.write_parquet(folder / f"{table}.parquet", row_group_size=row_group_size)
    return {table: [str(folder / f"{table}.parquet")] for table in frames}


def values(
    cascade: Cascade = ADS, student: Student | None = None, teacher: LoggedTeacher | None = None
) -> dict[str, Any]:
    """All parameters of a model; the teacher's version is v1, and no audit shifts it."""
    return parameters_for(cascade, DAY, student, teacher, "v1", teacher_shift=0.0, known_until=KNOWN_UNTIL)


def run(
    folder: Path, name: str, files: dict[str, list[str]], cascade: Cascade = ADS, threads: int = 1, **of: Any
) -> pl.DataFrame:
    """Run a shipped model, add its output to `files`, and return it."""
    return _run(folder, rendered(name, cascade, **of), files, values(cascade, **of), threads)


def run_all(
    folder: Path, logs: DayOfLogs, cascade: Cascade = ADS, student: Student = STUDENT
) -> dict[str, pl.DataFrame]:
    """What every shipped model makes of a day, by the model's name; it also stands in <name>.output.parquet."""
    files, bound = written(folder, logs._asdict()), values(cascade, student)
    return {name: _run(folder, model, files, bound, 1) for name, model in models_of(cascade, student).items()}


def _run(
    folder: Path, model: RenderedModel, files: dict[str, list[str]], bound: dict[str, Any], threads: int
) -> pl.DataFrame:
    output = str(folder / f"{model.model.name}.output.parquet")
    run_model(model, {table: files[table] for table in model.depends_on}, bound, output, threads)
    files[model.model.table] = [output]
    return pl.read_parquet(output)
