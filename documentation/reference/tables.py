"""Every table and column: the logs by their contract, SQL models by their headers, figures by their meanings."""

from collections.abc import Mapping

from documentation.markdown import code, page, sentence, table
from ukdsl_assets.declaration.read import SHIPPED, read_cascade
from ukdsl_assets.learning.cross_domain import evaluation as teacher_evaluation
from ukdsl_assets.learning.evaluation import by_group, champion_table
from ukdsl_assets.learning.evaluation import table as evaluation
from ukdsl_assets.learning.teachers import exploration
from ukdsl_assets.logs.contract import (
    candidate_log_dtypes,
    candidate_log_meanings,
    event_log_dtypes,
    event_log_meanings,
)
from ukdsl_assets.logs.rules import nullable_columns
from ukdsl_assets.off_policy import table as off_policy_table
from ukdsl_assets.pipeline.cross_domain import SOURCE_MEANINGS
from ukdsl_assets.selection import choice, comparison
from ukdsl_assets.selection import tables as importance
from ukdsl_assets.settings import PROJECT
from ukdsl_assets.sql.model import Column, SqlModel, read_models
from ukdsl_assets.theory.tables import BIAS_MEANINGS, STAGE_MEANINGS

INTRODUCTION = """A table of the lake is a Delta table below `UKDSL_LAKE`, with a partition for each UTC day: `day` is a
column of all of them but those of `theory`. `shop/impressions` is of the cascade `shop`,
`shop/pre_ranking_click/evaluation` of its student. A column in angle brackets stands for a family: `<task>` is one
column for each task, by its name."""
# The widest log that is shipped: it has bids, probes and the truth.
EXAMPLE = "simulated_ads"
# Tables of figures -> of what there is one, what they are, and the meaning of each column.
FIGURES: Mapping[str, tuple[str, str, Mapping[str, str]]] = {
    "teacher_audit": ("teacher", "How a teacher agrees with rows that chance showed.", exploration.MEANINGS),
    "teacher_evaluation": (
        "cross-domain teacher",
        "How another cascade's model does on this cascade's withheld impressions.",
        SOURCE_MEANINGS | teacher_evaluation.MEANINGS,
    ),
    "impression_importance, consideration_importance": (
        "student that selects", "How much NE rises when a feature is permuted.", importance.MEANINGS,
    ),
    "feature_union": ("student that selects", "Which features were chosen, by which rule.", choice.MEANINGS),
    "selection_comparison": (
        "student that selects", "Every rule at an equal number of features.", comparison.MEANINGS,
    ),
    "evaluation": ("student", "Every arm, head, domain and reference of a day.", evaluation.MEANINGS),
    "calibration_by_group": ("student", "Calibration by decile and by segment.", by_group.MEANINGS),
    "champion_comparison": ("student", "The new student against what serves.", champion_table.MEANINGS),
    "off_policy": (
        "student of the last stage, where `off_policy` is declared; and the cascade's `page`",
        "What its policy would earn, and production earns, from explored rows.",
        off_policy_table.MEANINGS,
    ),
    "theory/selection_bias_curves": ("platform", "Equation 1 of the paper, by k and noise.", BIAS_MEANINGS),
    "theory/two_stage_calibration": ("platform", "Equation 2 and figure 2 of the paper.", STAGE_MEANINGS),
}  # fmt: skip


def tables_page() -> str:
    """The page: logs, SQL models, tables of figures."""
    models = read_models(PROJECT / "dbt_like_sql")
    return page(
        "Tables and columns",
        INTRODUCTION,
        "## Logs",
        *logs_sections(),
        "## SQL models",
        *(_model_section(model) for model in models.values()),
        "## Figures",
        *(_figures_section(name, *about) for name, about in FIGURES.items()),
    )


def logs_sections() -> list[str]:
    """candidate_log and event_log of the widest shipped cascade."""
    cascade = read_cascade(SHIPPED / f"{EXAMPLE}.yaml")
    nullable = nullable_columns(cascade)
    sections = []
    for name, said, dtypes, meanings in (
        ("candidate_log", "One row for each candidate of a request that a stage scored.",
         candidate_log_dtypes(cascade), candidate_log_meanings(cascade)),
        ("event_log", "One row for each outcome of the day's requests, whenever it occurred.",
         event_log_dtypes(cascade), event_log_meanings()),
    ):  # fmt: skip
        rows = [
            (
                code(column),
                code(dtype),
                "allowed" if column in nullable else "none",
                sentence(meanings[column]),
            )
            for column, dtype in dtypes.items()
        ]
        about = f"{said} This is that of `{EXAMPLE}`; another cascade's has its own stages, tasks and features."
        sections.append(f"### {name}\n\n{about}\n\n{table(('column', 'type', 'nulls', 'meaning'), rows)}")
    return sections


def _model_section(model: SqlModel) -> str:
    rows = [
        (code(name), code(column.type), _rules(column), sentence(column.description))
        for name, column in model.columns.items()
    ]
    keys = ", ".join(map(code, model.keys))
    table_name = "" if model.table == model.name else f" It makes the table `{model.table}`."
    head = f"### {model.name}\n\n{sentence(model.description)} One for each {model.scope}.{table_name} Keys: {keys}."
    return f"{head}\n\n{table(('column', 'type', 'rules', 'meaning'), rows)}"


def _rules(column: Column) -> str:
    rules = ["never null"] if column.not_null else []
    if column.between is not None:
        low, high = column.between
        rules += [f"at least {low:g}"] if low is not None else []
        rules += [f"at most {high:g}"] if high is not None else []
    if column.one_of is not None:
        several = column.one_of
        values = f"the {several[1:]}" if isinstance(several, str) else ", ".join(map(str, several))
        rules.append(f"one of {values}")
    return ", ".join(rules)


def _figures_section(name: str, of: str, said: str, meanings: Mapping[str, str]) -> str:
    rows = [(code(column), sentence(meaning)) for column, meaning in meanings.items()]
    return f"### {name}\n\n{said} One for each {of}.\n\n{table(('column', 'meaning'), rows)}"
