"""The audit of logged teachers on explored rows, and what correcting them by it does to their students."""

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ukdsl_assets.declaration.cascade import Cascade
from ukdsl_assets.declaration.columns import CD, IMP, KEYS, label_column
from ukdsl_assets.declaration.read import SHIPPED, read_cascade
from ukdsl_assets.declaration.students import Student
from ukdsl_assets.evidence.study import Rows, Study, StudyProgress, TableOf
from ukdsl_assets.evidence.worlds.simulated_days import feature_of, scale_of, warmed_up
from ukdsl_assets.frames.splits import withheld
from ukdsl_assets.learning.metrics.calibration import calibration, normalized_entropy
from ukdsl_assets.learning.metrics.weighted import shifted
from ukdsl_assets.learning.students.fit import fit_student
from ukdsl_assets.learning.students.predict import predict_student
from ukdsl_assets.learning.students.student import FittedStudent
from ukdsl_assets.learning.students.training import Training
from ukdsl_assets.learning.teachers.exploration import audit_on_exploration
from ukdsl_assets.simulation.ads.day import PROPENSITY, SimulatedDay, simulate_day
from ukdsl_assets.simulation.ads.logs import REQUESTS_A_DAY
from ukdsl_assets.simulation.ads.world import World

FIRST = date(2026, 1, 1)
TASK = "click"
ARMS = ("as logged", "corrected")


def measure(settings: Mapping[str, Any], scratch: Path, progress: StudyProgress) -> Rows:
    """Serve `days` days, audit both teachers on the trailing days' explored rows, train both students of each arm for
    the last `trained` days, and judge teachers and students on the withheld requests of the last `judged` ones."""
    import torch

    torch.set_num_threads(1)
    cascade = read_cascade(SHIPPED / "simulated_ads.yaml")
    days, world = settings["days"], World(settings["seed"])
    models, scale = warmed_up(world, scratch), scale_of(settings["requests"])
    followed = [Followed(cascade, student) for student in cascade.students if student.task == TASK]
    for day in range(days):
        served = simulate_day(world, models, day, settings["requests"])
        for pair in followed:
            pair.audit(served)
            if day >= days - settings["trained"]:
                pair.train(served, judged=day >= days - settings["judged"])
        models.train(served, scale)
        progress(day + 1, days)
    return {
        "teacher": [pair.of_teacher() for pair in followed],
        "student": [row for pair in followed for row in pair.of_student()],
    }


class Followed:
    """A student and its logged teacher: the teacher's audit, both arms of the student, and what they are judged on."""

    def __init__(self, cascade: Cascade, student: Student) -> None:
        self.cascade, self.student = cascade, student
        self.teacher = cascade.teacher(student.teacher)
        self.fitted: dict[str, FittedStudent | None] = dict.fromkeys(ARMS)
        self._explored: deque[pl.DataFrame] = deque(maxlen=cascade.exploration_days)
        self._held: list[pl.DataFrame] = []

    def audit(self, served: SimulatedDay) -> None:
        """Pool the day's explored rows with those before it, as the asset teacher_audit does."""
        today = FIRST + timedelta(days=served.day)
        self._explored.append(explored_predictions(served, self.cascade, self.teacher.stage, today))
        audit_table = audit_on_exploration(self.cascade, self.teacher, pl.concat(list(self._explored)), today)
        self.audit_row = audit_table.row(
            by_predicate=(pl.col("task") == TASK) & (pl.col("period") == "trailing"), named=True
        )

    def train(self, served: SimulatedDay, judged: bool) -> None:
        """A day of both arms, and their predictions for its withheld requests."""
        rows = taught_rows(served, self.cascade, self.student, self.teacher.stage)
        logged, considered = rows["target"].to_numpy(), (rows["domain"] == CD).to_numpy()
        moved = np.where(considered, shifted(logged, self.audit_row["correction"]), logged)
        held = rows.filter("withheld")
        for arm, target in zip(ARMS, (logged, moved), strict=True):
            train = rows.with_columns(target=pl.Series(target, dtype=pl.Float32)).filter(~pl.col("withheld"))
            self.fitted[arm] = fit_student(
                Training.of(self.cascade, self.student, "distilled", train, previous=self.fitted[arm])
            ).student
            heads = predict_student(self.fitted[arm], held)  # type: ignore[arg-type]
            held = held.with_columns(**{f"{arm}, {head}": pl.Series(prediction) for head, prediction in heads.items()})
        if judged:
            kept = ("domain", "target", "weight", "truth", *(name for name in held.columns if name.startswith(ARMS)))
            self._held.append(held.select(kept).with_columns(shift=self.audit_row["correction"]))

    def of_teacher(self) -> dict[str, Any]:
        """The audit's figures, and the teacher's calibration on all that it labels before and after the correction."""
        rows = pl.concat(self._held).filter(domain=CD)
        prediction, truth, weight = (rows[name].to_numpy() for name in ("target", "truth", "weight"))
        moved = shifted(prediction, rows["shift"].to_numpy())
        before, after = (calibration(labels, truth, weight) for labels in (prediction, moved))
        return {
            "teacher": self.teacher.name,
            "audit": self.audit_row["calibration"],
            "shift": self.audit_row["correction"],
            "before": before,
            "after": after,
            "error before": abs(before - 1),
            "error after": abs(after - 1),
        }

    def of_student(self) -> Iterator[dict[str, Any]]:
        """Both arms: CD by the head that serves, IMP by the head that labels train."""
        every = pl.concat(self._held)
        rows, shown = every.filter(domain=CD), every.filter(domain=IMP)
        truth, weight = rows["truth"].to_numpy(), rows["weight"].to_numpy()
        serving, labelled = self.student.heads[-1], self.student.heads[0]
        plain = normalized_entropy(rows[f"{ARMS[0]}, {serving}"].to_numpy(), truth, weight)
        for arm in ARMS:
            p, on_shown = rows[f"{arm}, {serving}"].to_numpy(), shown[f"{arm}, {labelled}"].to_numpy()
            yield {
                "student": self.student.name,
                "teacher": arm,
                "CD, teacher as logged": calibration(p, rows["target"].to_numpy(), weight),
                "CD, truth": calibration(p, truth, weight),
                "CD NE, truth": normalized_entropy(p, truth, weight) / plain - 1,
                "IMP, label": calibration(on_shown, shown["target"].to_numpy()),
            }


def explored_predictions(served: SimulatedDay, cascade: Cascade, stage: str, today: date) -> pl.DataFrame:
    """The day's explored rows of requests that are not withheld, with what `stage` predicted for their clicks."""
    places, prediction = scored_by(served, stage)
    every = np.zeros(served.slots.shape, dtype=np.float32)
    np.put_along_axis(every, places, prediction, axis=1)
    shown = np.take_along_axis(served.ranked, served.shown, axis=1)
    request = np.repeat(request_ids(served), shown.shape[1])
    rows = pl.DataFrame(
        {
            "request_id": request,
            "propensity": np.full(len(request), PROPENSITY),
            TASK: served.outcomes.clicked.ravel().astype(np.float32),
            label_column(TASK): np.take_along_axis(every, shown, axis=1).ravel(),
            "explored": np.repeat(served.explored, shown.shape[1]),
        }
    ).with_columns(day=pl.lit(today), conversion=pl.lit(None, pl.Float32), conversion_prediction=pl.lit(None))
    return rows.filter(pl.col("explored") & ~withheld(rows["request_id"], cascade.withheld_share))


def taught_rows(served: SimulatedDay, cascade: Cascade, student: Student, stage: str) -> pl.DataFrame:
    """The day's rows of `teacher_augmented` under the logged teacher of `stage`, with the truth.

    Of what got no deeper than pre-ranking the declared share is kept, weighted by its inverse.
    """
    assert served.true_click is not None
    places, prediction = scored_by(served, stage)
    deep = np.zeros(served.slots.shape, dtype=bool)
    np.put_along_axis(deep, served.ranked, True, axis=1)
    rate = np.where(np.take_along_axis(deep, places, axis=1), 1.0, cascade.stage("pre_ranking").consideration_rate)
    kept = np.random.default_rng(served.day).random(rate.shape) < rate
    considered = frame_of(served, cascade, student, kept, places, prediction).with_columns(
        domain=pl.lit(CD), weight=pl.Series(1 / rate[kept], dtype=pl.Float32)
    )
    shown = np.take_along_axis(served.ranked, served.shown, axis=1)
    clicked = served.outcomes.clicked.astype(np.float32)
    labelled = frame_of(served, cascade, student, np.ones(shown.shape, bool), shown, clicked).with_columns(
        domain=pl.lit(IMP), weight=pl.lit(1.0, pl.Float32)
    )
    return pl.concat([considered, labelled]).sort(*KEYS, "domain")


def frame_of(
    served: SimulatedDay,
    cascade: Cascade,
    student: Student,
    kept: NDArray[np.bool_],
    places: NDArray[np.int64],
    target: NDArray[np.float32],
) -> pl.DataFrame:
    """Rows of the kept places [R, K] among the candidates."""
    assert served.true_click is not None
    request = np.nonzero(kept)[0]
    slot = np.take_along_axis(served.slots, places, axis=1)[kept]
    identifier = pl.Series(request_ids(served))
    columns = {
        "request_id": identifier.gather(request),
        "candidate_id": served.ads.ad[slot],
        "target": target[kept],
        "withheld": withheld(identifier, cascade.withheld_share).gather(request),
        "truth": np.take_along_axis(served.true_click, places, axis=1)[kept],
        "bid": served.ads.bid[slot],
    }
    for feature in cascade.features_of(student):
        columns[feature.name] = feature_of(served.requests, served.ads, feature.name, request, slot)
    return pl.DataFrame(columns)


def scored_by(served: SimulatedDay, stage: str) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Places among the candidates that a stage scored and its click predictions for them, [R, K] each."""
    of: dict[str, Sequence[Any]] = {
        "pre_ranking": (served.pre_ranked, served.pre_ranking_click),
        "ranking": (served.ranked, served.ranking_click),
    }
    places, prediction = of[stage]
    return places, prediction


def request_ids(served: SimulatedDay) -> NDArray[np.int64]:
    """Identifiers of the day's requests, as its log has them."""
    return served.day * REQUESTS_A_DAY + served.requests.number


STUDY = Study(
    name="teacher-audit",
    question="How far off are logged teachers, what does exploration see of it, and does correcting by it help?",
    data="Simulated cascade, {requests:,} requests a day of which 2% explore among the ranked; audited on the explored "
    "rows of up to 28 of {days} days; students trained for {trained} days; judged on the withheld requests of the last "
    "{judged}; CD: all that the teacher's stage scored",
    version=1,
    measure=measure,
    defaults={"requests": 10_000, "days": 28, "trained": 7, "judged": 3},
    meanings={
        "requests": "requests a day",
        "days": "days served, whose explored rows audit the teachers",
        "trained": "last days that students are trained on",
        "judged": "last days whose withheld requests count",
    },
    tables=(
        TableOf(
            "teacher",
            "Teachers: the audit's calibration on explored rows, the correction (a shift of logits, shrunken by its "
            "error), and the calibration against the truth on all that the teacher labels, before and after",
            keys=("teacher",),
            figures={
                "audit": ".3f",
                "shift": "+.3f",
                "before": ".3f",
                "after": ".3f",
                "error before": ".3f",
                "error after": ".3f",
            },
        ),
        TableOf(
            "student",
            "Students: calibration on CD by the head that serves and on IMP by the head that labels train; NE against "
            "the truth relative to the student of the teacher as logged",
            keys=("student", "teacher"),
            figures={
                "CD, teacher as logged": ".3f",
                "CD, truth": ".3f",
                "CD NE, truth": "+.2%",
                "IMP, label": ".3f",
            },
        ),
    ),
)
