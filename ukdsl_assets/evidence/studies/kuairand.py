"""KuaiRand-Pure day by day: what distillation does there, and what it says of random pairs, whose click rate is known.

Users are drawn with replacement, each with all requests; seed 0 takes them as they are. What the features count (a
video's clicks so far) and which unshown candidates are drawn stays as it is in the release, and a request is withheld
in all its copies or in none.
"""

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ukdsl_assets.declaration.cascade import Cascade
from ukdsl_assets.declaration.columns import CD, IMP, KEYS
from ukdsl_assets.declaration.read import SHIPPED, read_cascade
from ukdsl_assets.declaration.students import Student
from ukdsl_assets.declaration.teachers import TrainedTeacher
from ukdsl_assets.evidence.studies.cross_domain import rows_of
from ukdsl_assets.evidence.study import Aim, Rows, Study, StudyProgress, TableOf
from ukdsl_assets.evidence.worlds.arms import IMPRESSION, Learner, Recipe
from ukdsl_assets.evidence.worlds.cross_domain_rows import COPIES, kuairand_candidates, resampled
from ukdsl_assets.frames.splits import withheld
from ukdsl_assets.learning.evaluation.table import evaluate
from ukdsl_assets.learning.metrics.logits import logit, sigmoid
from ukdsl_assets.learning.metrics.weighted import shift_to_rate
from ukdsl_assets.learning.teachers.trees import fit_teacher, predict_teacher
from ukdsl_assets.settings import Settings

BASELINE, DISTILLED = "baseline", "distilled"
# Clicks of the release's random exposure, 22 April to 8 May 2022: a total its publisher gives. Its rows are not read.
RANDOM_CLICK_RATE = 0.1773
CLICK = "is_click"
AS_TRAINED, KNOWN_TOTAL = "as trained", "known total"
# The teacher that labels -> what the arm that learns from it is called.
TAUGHT = {AS_TRAINED: DISTILLED, KNOWN_TOTAL: "distilled, known total"}
REFERENCES = {IMP: "label", CD: "teacher"}


def measure(settings: Mapping[str, Any], scratch: Path, progress: StudyProgress) -> Rows:
    """Train teacher and arms on each day of one draw of users; judge on the withheld requests of the last days.

    Raises:
        SourceError: there is no folder of KuaiRand-Pure.
    """
    import torch

    torch.set_num_threads(1)
    cascade = declared(settings)
    rows = kuairand_candidates(cascade, Settings().kuairand, scratch)
    rows = rows.with_columns(withheld=withheld(rows["request_id"], cascade.withheld_share))
    return surveyed(cascade, drawn(rows, settings["seed"]), settings, progress)


def drawn(rows: pl.DataFrame, seed: int) -> pl.DataFrame:
    """A draw of users, with replacement; seed 0 has each user once. A request of the release is id // COPIES."""
    return resampled(rows, seed) if seed else rows.with_columns(pl.col("request_id") * COPIES)


def surveyed(cascade: Cascade, rows: pl.DataFrame, settings: Mapping[str, Any], progress: StudyProgress) -> Rows:
    """The study's tables of one draw of users.

    Args:
        rows: of `drawn`, with `day` and `withheld`, which is decided before requests are copied.
    """
    surveys = [Survey(cascade, student, settings) for student in cascade.students]
    days = rows["day"].n_unique()
    for done, today in enumerate(labelled_days(cascade, rows), start=1):
        for survey in surveys:
            survey.day(today, judged=done > days - settings["judged"])
        progress(done, days)
    tables: Rows = {"figures": [], "random_pairs": []}
    for survey in surveys:
        for name, lines in survey.tables().items():
            tables[name] += lines
    return tables


def declared(settings: Mapping[str, Any]) -> Cascade:
    """The shipped cascade with the tasks of the settings and their students of all features."""
    cascade = read_cascade(SHIPPED / "kuairand.yaml")
    tasks = tuple(task for task in cascade.tasks if task.name in settings["tasks"])
    students = tuple(
        student for student in cascade.students if student.task in settings["tasks"] and student.features != "selected"
    )
    return cascade.model_copy(update={"tasks": tasks, "students": students})


def labelled_days(cascade: Cascade, rows: pl.DataFrame) -> Iterator[pl.DataFrame]:
    """Each day's rows with `<task>_prediction` by the teacher of the window that ends with it.

    The teacher's choice of where to stop is by the requests of the release, so that no copy of one that it learns from
    is among those that decide.

    Args:
        rows: of `drawn`, with `day` and `withheld`.
    """
    (teacher,) = cascade.teachers
    assert isinstance(teacher, TrainedTeacher)
    window: deque[pl.DataFrame] = deque(maxlen=teacher.window_days)
    for (_,), today in sorted(rows.partition_by("day", as_dict=True).items()):
        learnt = today.filter("shown", ~pl.col("withheld"))
        window.append(learnt.with_columns(pl.col("request_id") // COPIES))
        fitted = fit_teacher(cascade, teacher, pl.concat(list(window)), threads=1)
        yield today.hstack(predict_teacher(fitted, today, threads=1).drop(KEYS))


@dataclass
class Survey:
    """The arms of one student as they learn day by day, and what they predicted on what was withheld."""

    cascade: Cascade
    student: Student
    settings: Mapping[str, Any]
    held: dict[str, list[pl.DataFrame]] = field(default_factory=dict)
    predictions: dict[tuple[str, str], list[NDArray[np.float32]]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.baseline = Learner(Recipe(BASELINE, "baseline"), self.cascade, self.student)
        self.teachers = [AS_TRAINED, KNOWN_TOTAL] if self.student.task == CLICK else [AS_TRAINED]
        self.learners = {
            teacher: Learner(Recipe(TAUGHT[teacher]), self.cascade, self.student) for teacher in self.teachers
        }

    def day(self, today: pl.DataFrame, judged: bool) -> None:
        """Learn from a labelled day, then predict what is withheld of it."""
        rows = rows_of(self.student, today)
        of_teacher = {AS_TRAINED: rows}
        if KNOWN_TOTAL in self.teachers:
            of_teacher[KNOWN_TOTAL] = with_total(rows, self.settings["rate"], self.settings["tab"])
        self.baseline.train(rows.filter(~pl.col("withheld")))
        for teacher, learner in self.learners.items():
            learner.train(of_teacher[teacher].filter(~pl.col("withheld")))
        if not judged:
            return
        for teacher, taught in of_teacher.items():
            self.held.setdefault(teacher, []).append(taught.filter("withheld"))
        of_baseline = self.baseline.predict(self.held[AS_TRAINED][-1])
        self.predictions.setdefault((BASELINE, IMPRESSION), []).append(of_baseline[IMPRESSION])
        for teacher, learner in self.learners.items():
            for head, prediction in learner.predict(self.held[teacher][-1]).items():
                self.predictions.setdefault((TAUGHT[teacher], head), []).append(prediction)

    def tables(self) -> Rows:
        """The figures of all judged days together."""
        predictions = {key: np.concatenate(parts) for key, parts in self.predictions.items()}
        figures: list[dict[str, Any]] = []
        for teacher in self.teachers:
            arms = (BASELINE, TAUGHT[teacher])
            mine = {key: values for key, values in predictions.items() if key[0] in arms}
            figures += figures_of(self.student.task, teacher, evaluate(pl.concat(self.held[teacher]), mine))
        if self.student.task != CLICK:
            return {"figures": figures}
        return {"figures": figures, "random_pairs": self._random_pairs(predictions)}

    def _random_pairs(self, predictions: Mapping[tuple[str, str], NDArray[np.float32]]) -> list[dict[str, Any]]:
        """Mean prediction of teachers and of what each arm serves for withheld pairs that were drawn, not shown."""
        held = {teacher: pl.concat(parts) for teacher, parts in self.held.items()}
        # Of an arm's heads the last one serves.
        served = {arm: values for (arm, _), values in predictions.items()}
        said = {f"teacher, {teacher}": held[teacher]["target"].to_numpy() for teacher in self.teachers} | served
        lines = []
        places = {f"tab {self.settings['tab']}": pl.col("tab") == self.settings["tab"], "all tabs": pl.lit(True)}
        for pairs, where in places.items():
            chosen = held[AS_TRAINED].select((pl.col("domain") == CD) & ~pl.col("shown") & where).to_series().to_numpy()
            for who, prediction in said.items():
                mean = float(prediction[chosen].mean(dtype=np.float64))
                lines.append({"pairs": pairs, "of": who, "mean": mean, "ratio": mean / self.settings["rate"]})
        return lines


def figures_of(task: str, teacher: str, judged: pl.DataFrame) -> list[dict[str, Any]]:
    """Lines of an evaluation: impressions by an arm's first head, considered rows by its last, which serves."""
    lines = []
    for arm in judged["arm"].unique(maintain_order=True):
        of_arm = judged.filter(arm=arm)
        heads = of_arm["head"].unique(maintain_order=True).to_list()
        for domain, reference in REFERENCES.items():
            head = heads[0] if domain == IMP else heads[-1]
            (row,) = of_arm.filter(domain=domain, reference=reference, head=head).to_dicts()
            named = {"task": task, "teacher": teacher, "arm": arm, "domain": domain, "reference": reference}
            lines.append(named | {name: row[name] for name in ("rows", "calibration", "ne", "ne_change")})
    return lines


def with_total(rows: pl.DataFrame, rate: float, tab: int) -> pl.DataFrame:
    """Rows whose teacher's targets are shifted in the logit until those of the drawn pairs have the known mean.

    Args:
        rows: of `rows_of`, with `shown`, `tab` and `withheld`; the shift is found on what is not withheld.
        rate: mean label of random exposure, in (0, 1). tab: whose drawn pairs stand for it.
    """
    said = rows.filter(~pl.col("withheld"), ~pl.col("shown"), tab=tab, domain=CD)["target"].to_numpy()
    shift = shift_to_rate(said.astype(np.float64), np.ones(len(said)), rate)
    moved = sigmoid(logit(rows["target"].to_numpy()) + shift).astype(np.float32)
    return rows.with_columns(target=pl.when(pl.col("domain") == CD).then(pl.Series(moved)).otherwise("target"))


def _aims(arms: Sequence[tuple[str, str]]) -> tuple[Aim, ...]:
    return tuple(
        Aim(
            f"{task}: NE on {domain} below the baseline's",
            "figures",
            {"task": task, "teacher": AS_TRAINED, "arm": DISTILLED, "domain": domain},
            "ne_change",
            high=0.0,
        )
        for task, domain in arms
    )


STUDY = Study(
    name="kuairand",
    question="What does distillation do on KuaiRand-Pure, and what does it say of random pairs?",
    data="KuaiRand-Pure (Gao et al., CIKM 2022; CC BY-SA 4.0), semi-real: impressions of 25 April to 8 May 2022, "
    "unshown candidates drawn from the day's other videos of the tab; a seed draws users with replacement (0: each "
    "once); teacher, baseline (equal effort) and students of pre-ranking are trained day after day and judged on the "
    "withheld requests of the last {judged} days; IMP: shown rows against labels, by head impression; CD: shown and "
    "drawn rows against the teacher that taught, by the head that serves; random pairs: withheld drawn candidates, "
    "beside the click rate of the release's random exposure, {rate}, which is a published total: its rows are not read",
    version=1,
    measure=measure,
    defaults={"tasks": [CLICK, "long_view"], "judged": 11, "rate": RANDOM_CLICK_RATE, "tab": 1},
    meanings={
        "tasks": "tasks whose students are trained",
        "judged": "last days whose withheld requests count",
        "rate": "click rate of random exposure",
        "tab": "whose drawn pairs stand for random exposure: tab 1 has four fifths of the impressions",
    },
    tables=(
        TableOf(
            "figures",
            "Withheld requests; NE change relative to the baseline of the same users, against the same reference",
            keys=("task", "teacher", "arm", "domain", "reference"),
            figures={"rows": ",.0f", "calibration": ".3f", "ne": ".4f", "ne_change": "+.2%"},
        ),
        TableOf(
            "random_pairs",
            "Clicks: mean prediction for random pairs, which nobody was shown, and over the published rate",
            keys=("pairs", "of"),
            figures={"mean": ".4f", "ratio": ".2f"},
            beside=({"pairs": "published", "of": "clicks of random exposure", "mean": f"{RANDOM_CLICK_RATE:.4f}"},),
        ),
    ),
    seeds=5,
    aims=(
        *_aims([(task, domain) for task in (CLICK, "long_view") for domain in (IMP, CD)]),
        Aim(
            "random pairs: the student of a teacher with the known total within 5% of the published rate",
            "random_pairs",
            {"pairs": "tab 1", "of": TAUGHT[KNOWN_TOTAL]},
            "ratio",
            0.95,
            1.05,
        ),
    ),
)
