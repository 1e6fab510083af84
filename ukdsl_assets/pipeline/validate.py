"""Whether the SQL models run for a cascade: DuckDB runs each over tables without a row, in a folder thrown away."""

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import polars as pl

from ukdsl_assets.declaration.cascade import Cascade
from ukdsl_assets.declaration.columns import CLOSED_IMPRESSIONS, KEYS, label_column
from ukdsl_assets.declaration.students import Student
from ukdsl_assets.declaration.teachers import Teacher
from ukdsl_assets.errors import SqlModelError
from ukdsl_assets.gates import blocking
from ukdsl_assets.logs.contract import candidate_log_dtypes, event_log_dtypes
from ukdsl_assets.pipeline.tables import check_models
from ukdsl_assets.pipeline.workspace import Workspace
from ukdsl_assets.settings import Settings
from ukdsl_assets.sql.context import parameters_for, template_context
from ukdsl_assets.sql.gates import judge_model
from ukdsl_assets.sql.model import SqlModel, read_model
from ukdsl_assets.sql.render import render
from ukdsl_assets.sql.run import run_model


def wrong_headers(settings: Settings) -> list[str]:
    """What is wrong with the SQL files themselves, a message for each wrong one; empty where all can be read."""
    try:
        Workspace.open(settings)
    except SqlModelError as first:
        # One wrong file stops them all; here each has its say.
        folder = settings.sql
        paths = sorted(Path(folder).rglob("*.sql")) if folder is not None and Path(folder).is_dir() else []
        return list(dict.fromkeys([str(first), *(told for path in paths if (told := _header_error(path)))]))
    return []


def wrong_models(workspace: Workspace, cascade: Cascade) -> list[str]:
    """What is wrong with the SQL models for a cascade, a message for each table that cannot be made; empty for nothing.

    Every model is rendered for the declaration and run by DuckDB on tables that have the declared columns and no row,
    one after the other as the graph does, and what comes out is judged by its header. A table that reads one which
    cannot be made has no message of its own. No lake and no log is read.
    """
    try:
        ordered = check_models(cascade, workspace)
    except SqlModelError as error:
        return [str(error)]
    messages: list[str] = []
    with TemporaryDirectory() as folder:
        tables = _logs(cascade, Path(folder))
        for model in ordered:
            for student, teacher in _for_whom(cascade, model):
                told = _tried(workspace, cascade, model, student, teacher, tables, Path(folder))
                messages += [told] if told else []
            if model.table == "impressions" and "impressions" in tables:
                tables[CLOSED_IMPRESSIONS] = tables["impressions"]
    return list(dict.fromkeys(messages))


def _for_whom(cascade: Cascade, model: SqlModel) -> list[tuple[Student | None, Teacher | None]]:
    """Each student or teacher that there is one such table for; once nobody for a table of the cascade."""
    if model.scope == "cascade":
        return [(None, None)]
    if model.scope == "teacher":
        return [(None, teacher) for teacher in cascade.teachers if teacher.logged]
    return [(student, None) for student in cascade.students]


def _tried(
    workspace: Workspace,
    cascade: Cascade,
    model: SqlModel,
    student: Student | None,
    teacher: Teacher | None,
    tables: dict[str, str],
    folder: Path,
) -> str:
    """What is wrong with one table, empty for nothing; its file is added to `tables`, a teacher's by the teacher's
    name, since each has its own."""
    try:
        rendered = render(model, template_context(cascade, student, teacher))
        names = {name: _name_of(name, student) for name in rendered.depends_on}
        if any(name not in tables for name in names.values()):
            return ""
        noon = datetime.combine(cascade.first_day, datetime.min.time(), tzinfo=UTC)
        values: dict[str, Any] = parameters_for(cascade, cascade.first_day, student, teacher, "none", 0.0, noon)
        made = f"{model.table}/{teacher.name}" if teacher else model.table
        file = str(folder / f"{len(tables)}-{model.table}{'-' + student.name if student else ''}.parquet")
        inputs = {name: [tables[of]] for name, of in names.items()}
        run_model(rendered, inputs, values, file, workspace.settings.threads)
        if failed := blocking(judge_model(rendered, [file], values)):
            return f"{model.path}: for {_whom(cascade, student, teacher)}: {failed[0].message}"
    except SqlModelError as error:
        # Names of files that are thrown away tell nothing.
        return f"{str(error).replace(str(folder) + '/', '')} (tried for {_whom(cascade, student, teacher)})"
    if student is None:
        tables[made] = file
    return ""


def _logs(cascade: Cascade, folder: Path) -> dict[str, str]:
    """Empty files of what no model makes: the logs, and the labels of teachers that are not logged."""
    candidates = candidate_log_dtypes(cascade)
    columns: dict[str, Mapping[str, Any]] = {"candidate_log": candidates, "event_log": event_log_dtypes(cascade)}
    for teacher in cascade.teachers:
        if not teacher.logged:
            matching = [student for student in cascade.students if student.teacher == teacher.name]
            hidden = [
                name for student in matching for name in template_context(cascade, student)["student"].representation
            ]
            columns[f"teacher_labels/{teacher.name}"] = {
                **{key: candidates[key] for key in KEYS},
                **{label_column(task): pl.Float32() for task in cascade.tasks_taught(teacher)},
                **{name: pl.List(pl.Float32()) for name in hidden},
            }
    files = {}
    for number, (name, dtypes) in enumerate(columns.items()):
        files[name] = str(folder / f"empty-{number}-{name.replace('/', '-')}.parquet")
        pl.DataFrame(schema=dict(dtypes)).write_parquet(files[name])
    return files


def _name_of(table: str, student: Student | None) -> str:
    return f"{table}/{student.teacher}" if table == "teacher_labels" and student else table


def _whom(cascade: Cascade, student: Student | None, teacher: Teacher | None) -> str:
    return "/".join([cascade.name, *(each.name for each in (student, teacher) if each is not None)])


def _header_error(path: Path) -> str:
    try:
        read_model(path)
    except SqlModelError as error:
        return str(error)
    return ""
