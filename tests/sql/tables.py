"""Runs the shipped models on frames, for tests."""

from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any

import polars as pl

from ukdsl_assets.cascade import SHIPPED, Cascade, LoggedTeacher, Student, read_cascade
from ukdsl_assets.settings import PROJECT
from ukdsl_assets.sql.context import parameters_for, template_context
from ukdsl_assets.sql.model import read_models
from ukdsl_assets.sql.render import RenderedModel, render
from ukdsl_assets.sql.run import run_model

DAY = date(2026, 3, 7)
MODELS = read_models(PROJECT / "dbt_like_sql")
ADS = read_cascade(SHIPPED / "simulated_ads.yaml")
STUDENT = ADS.student("pre_ranking_click")


def rendered(name: str, cascade: Cascade = ADS, student: Student | None = None, **teacher: Any) -> RenderedModel:
    """A shipped model for a cascade."""
    return render(MODELS[name], template_context(cascade, student, **teacher))


def written(folder: Path, frames: Mapping[str, pl.DataFrame]) -> dict[str, list[str]]:
    """Each frame as a Parquet file of its table's name."""
    for table, frame in frames.items():
        frame.write_parquet(folder / f"{table}.parquet")
    return {table: [str(folder / f"{table}.parquet")] for table in frames}


def values(
    cascade: Cascade = ADS, student: Student | None = None, teacher: LoggedTeacher | None = None
) -> dict[str, Any]:
    """All parameters of a model; the teacher's version is v1."""
    return parameters_for(cascade, DAY, student, teacher, "v1")


def run(
    folder: Path, name: str, files: dict[str, list[str]], cascade: Cascade = ADS, threads: int = 1, **of: Any
) -> pl.DataFrame:
    """Run a shipped model, add its output to `files`, and return it."""
    output = str(folder / f"{name}.output.parquet")
    model = rendered(name, cascade, **of)
    run_model(model, {table: files[table] for table in model.depends_on}, values(cascade, **of), output, threads)
    files[MODELS[name].table] = [output]
    return pl.read_parquet(output)
