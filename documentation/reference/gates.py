"""Every gate: where it stands, what it demands, what it keeps back, and what to do when it fails."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from documentation.markdown import code, page, sentence, table
from ukdsl_assets.declaration.cascade import Cascade
from ukdsl_assets.declaration.read import SHIPPED, read_cascade
from ukdsl_assets.defs.evidence import AIMS_REACHED
from ukdsl_assets.gates import demand_and_fix
from ukdsl_assets.learning.cross_domain.evaluation import constant_rules
from ukdsl_assets.learning.evaluation import champion_gates
from ukdsl_assets.learning.evaluation import gates as student_gates
from ukdsl_assets.learning.evaluation.product_gates import product_rules
from ukdsl_assets.learning.teachers import verdicts
from ukdsl_assets.learning.teachers.gates import teacher_rules
from ukdsl_assets.learning.training import gates as training_gates
from ukdsl_assets.logs.gates.day import RULES as LOG_RULES
from ukdsl_assets.off_policy import gates as off_policy_gates
from ukdsl_assets.pipeline import closed_impressions, release
from ukdsl_assets.pipeline.tables import label_rate_rules
from ukdsl_assets.selection import gates as selection_gates
from ukdsl_assets.sql.gates import RULES as SQL_RULES
from ukdsl_assets.theory.claims import BIAS_CLAIMS, STAGE_CLAIMS

INTRODUCTION = """A gate is one rule on one table of a day; in the UI it is an asset check. It *passed*, *failed*, or
was *not judged*, since there was too little to judge by: that is never a pass. What it keeps back when it fails is
said of each:

- **the day**: the table's day is not published, what was there before stays, and what reads it is not made;
- **the release**: everything is published, and the student is not released: what served before is served on. A student
  may accept such a gate by its name, under [`accept`](declaration.md#student);
- **nothing**: it only tells.

A gate that keeps back the day or the release may still only tell where labels are few or delayed; its message says so.
Every message says what was seen, what was expected, in which rows, and what to do. The bounds are declared under
[`gates`](declaration.md#gates). `<task>` stands for the name of a task."""
# What a gate keeps back, by whether its check stops the asset.
DAY, RELEASE, NOTHING = "the day", "the release", "nothing"
_ONLY_TOLD = "only told."


class Gate(NamedTuple):
    """One line of the reference."""

    name: str
    keeps_back: str
    demands: str
    fix: str


def gates() -> dict[str, list[Gate]]:
    """Table (or tables) -> its gates, in the order of a day; names of tasks are `<task>`."""
    ads = read_cascade(SHIPPED / "simulated_ads.yaml")
    given = next(student for student in ads.students if ads.task(student.task).given)
    stages: dict[str, tuple[str, Mapping[str, str]]] = {
        "candidate_log": (DAY, LOG_RULES["candidate_log"]),
        "event_log": (DAY, LOG_RULES["event_log"]),
        "every SQL model": (DAY, SQL_RULES),
        "impressions, besides": (DAY, label_rate_rules(ads)),
        "closed_impressions": (DAY, closed_impressions.RULES),
        "teacher_labels": (DAY, teacher_rules(ads, ads.teachers[0])),
        "teacher_labels of a cross-domain teacher, besides": (DAY, constant_rules([task.name for task in ads.tasks])),
        "teacher_audit": (NOTHING, verdicts.audit_rules(ads, ads.teachers[0])),
        "checkpoints of teachers and students": (DAY, training_gates.RULES),
        "feature_union": (DAY, selection_gates.RULES),
        "evaluation": (RELEASE, student_gates.RULES),
        "evaluation of a student whose task is given another, besides": (RELEASE, product_rules(ads, given)),
        "champion_comparison": (RELEASE, champion_gates.RULES),
        "off_policy": (RELEASE, off_policy_gates.RULES),
        "release": (RELEASE, {**verdicts.RULES, **release.RULES}),
        "theory/selection_bias_curves": (DAY, BIAS_CLAIMS),
        "theory/two_stage_calibration": (DAY, STAGE_CLAIMS),
        "evidence/table1": (NOTHING, {"aims_reached": AIMS_REACHED}),
    }
    return {name: _of(ads, keeps, rules) for name, (keeps, rules) in stages.items()}


def gates_page() -> str:
    """The page: a table of gates for each table of the lake."""
    sections = [
        f"## {name}\n\n"
        + table(
            ("gate", "keeps back", "what it demands", "what to do when it fails"),
            [(code(gate.name), gate.keeps_back, sentence(gate.demands), sentence(gate.fix)) for gate in listed],
        )
        for name, listed in gates().items()
    ]
    return page("Gates", INTRODUCTION, *sections)


def general(name: str, tasks: Iterable[str]) -> str:
    """The name of a gate without that of a task: click_agrees_on_exploration -> <task>_agrees_on_exploration."""
    task = _task_of(name, tasks)
    return f"<task>{name.removeprefix(task)}" if task else name


def _task_of(name: str, tasks: Iterable[str]) -> str:
    return next((task for task in sorted(tasks, key=len, reverse=True) if name.startswith(f"{task}_")), "")


def _of(cascade: Cascade, keeps: str, rules: Mapping[str, str]) -> list[Gate]:
    tasks = [task.name for task in cascade.tasks]
    found: dict[str, Gate] = {}
    for name, text in rules.items():
        demands, fix = demand_and_fix(text)
        if task := _task_of(name, tasks):
            demands = demands.replace(task, "`<task>`", 1)
        shared = general(name, tasks)
        found.setdefault(shared, Gate(shared, NOTHING if _ONLY_TOLD in demands else keeps, demands, fix))
    return list(found.values())
