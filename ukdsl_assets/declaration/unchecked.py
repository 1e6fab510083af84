"""The declaration of a cascade: what its YAML file may say, and nothing about how it is run.

Everything downstream is built from this: log contract, SQL, teachers, students, gates and the asset graph.
"""

from collections.abc import Sequence
from typing import Literal, Protocol, TypeVar

from pydantic import Field
from pydantic.json_schema import SkipJsonSchema

from ukdsl_assets.declaration.block import OWNER, Day, Days, Declared, Name
from ukdsl_assets.declaration.corrections import KnownRate
from ukdsl_assets.declaration.off_policy import OffPolicy
from ukdsl_assets.declaration.page import Page
from ukdsl_assets.declaration.parts import Feature, Gates, Stage, Task
from ukdsl_assets.declaration.sources import Source
from ukdsl_assets.declaration.students import Student
from ukdsl_assets.declaration.teachers import CrossDomainTeacher, Teacher


class _Named(Protocol):
    @property
    def name(self) -> str: ...


_NamedT = TypeVar("_NamedT", bound=_Named)


class UncheckedCascade(Declared):
    """A whole cascade whose keys are sound one by one."""

    name: Name
    """Its name, which begins every asset key and every table's path."""
    description: str
    """What it ranks, for people."""
    note: str = ""
    """Shown wherever results are, such as semi-real."""
    owner: str = Field("team:ranking", pattern=OWNER)
    """Who answers for its assets in Dagster: team:NAME or an address."""
    first_day: Day
    """First UTC day of its logs."""
    last_day: Day | None = None
    """Last day of logs that have ended; such a cascade has no schedule."""
    identifiers: Literal["integer", "string"] = "integer"
    """Type of request_id and candidate_id."""
    has_bid: bool = False
    """Whether the candidate log has a column `bid`."""
    has_probes: bool = False
    """Whether the candidate log has columns `probed` and `probe_rate`: rejected rows that the next stage scored.

    Such a row was scored to learn from it and could not be shown; it stands for 1 / probe_rate rejected ones.
    """
    has_truth: bool = False
    """Whether the source knows true probabilities and logs them, in columns `audit_true_TASK` that no trainer reads."""
    withheld_share: float = Field(0.2, ge=0.0001, le=0.9999)
    """Share of requests, by hash, that no model is trained on."""
    evaluation_days: Days = 1
    """Trailing days, the day's own last, whose withheld requests students are judged by.

    More than one where a day has too few positive labels to judge by. Days of before a student's features are left out.
    """
    exploration_days: Days = 28
    """Trailing days whose explored rows are pooled to audit the teachers, and to correct them."""
    stages: tuple[Stage, ...] = Field(min_length=1)
    """Its ranking models, in the order in which candidates pass them."""
    tasks: tuple[Task, ...] = Field(min_length=1)
    """The outcomes to predict."""
    features: tuple[Feature, ...] = Field(min_length=1)
    """The input columns of the candidate log."""
    segments: tuple[Name, ...] = ()
    """Categorical features that a student's calibration is also reported by, where it has them."""
    source: Source
    """Where its logs come from."""
    teachers: tuple[Teacher, ...] = ()
    """Who labels considered candidates."""
    students: tuple[Student, ...] = ()
    """Who is taught."""
    page: Page | None = Field(None, exclude_if=lambda value: value is None)
    """What is shown of a request's candidates, by the students' predictions and rules."""
    off_policy: OffPolicy | None = Field(None, exclude_if=lambda value: value is None)
    """How to estimate from explored rows what its students' policies and page would earn; left out, nothing is."""
    gates: Gates = Gates()
    """Bounds of its quality gates."""
    origin: SkipJsonSchema[str] = Field("", exclude=True)
    """The file that declares it, named in errors; no key of the file."""

    # -- look-ups; all raise KeyError for an unknown name, which validation has ruled out for declared references

    def stage(self, name: str) -> Stage:
        return _by_name(self.stages, name)

    def task(self, name: str) -> Task:
        return _by_name(self.tasks, name)

    def teacher(self, name: str) -> Teacher:
        return _by_name(self.teachers, name)

    def student(self, name: str) -> Student:
        return _by_name(self.students, name)

    def depth(self, stage: str) -> int:
        """Position of a stage: 0 for the first, which scores everything."""
        return [item.name for item in self.stages].index(stage)

    def predictions_of(self, stage: str) -> tuple[str, ...]:
        """Names of the tasks whose predictions a stage logs."""
        declared = self.stage(stage).predicts
        return tuple(task.name for task in self.tasks) if declared is None else declared

    @property
    def delayed_tasks(self) -> tuple[Task, ...]:
        """The tasks whose labels keep arriving for days."""
        return tuple(task for task in self.tasks if task.delayed)

    @property
    def estimated_students(self) -> tuple[Student, ...]:
        """The students whose policies are estimated from explored rows: those of the last stage, where declared.

        What an earlier stage would keep instead, exploration never shows.
        """
        if self.off_policy is None:
            return ()
        return tuple(student for student in self.students if student.stage == self.stages[-1].name)

    @property
    def estimated_page(self) -> Page | None:
        """The page whose policy is estimated from explored rows: of students of the last stage, where both are
        declared; None else."""
        if self.page is None or not {*self.page.value} <= {student.name for student in self.estimated_students}:
            return None
        return self.page

    @property
    def features_of_shown(self) -> tuple[Feature, ...]:
        """Features that only what was shown has, each with `served_as`."""
        return tuple(feature for feature in self.features if feature.served_as is not None)

    def features_known_at(self, stage: str) -> tuple[Feature, ...]:
        """Features that a model of this stage can use, in declared order."""
        depth = self.depth(stage)
        return tuple(f for f in self.features if f.known_from is None or self.depth(f.known_from) <= depth)

    def features_of(self, student: Student) -> tuple[Feature, ...]:
        """A student's features, in declared order; of one with `features: selected` all that it may choose from."""
        if student.features == "selected":
            return self.candidates_of(student)
        known = self.features_known_at(student.stage)
        return known if student.features == "all" else tuple(f for f in known if f.name in student.features)

    def candidates_of(self, student: Student) -> tuple[Feature, ...]:
        """What a student's selection chooses from, in declared order; nothing without a selection."""
        if student.selection is None:
            return ()
        known, names = self.features_known_at(student.stage), student.selection.candidates
        return known if names == "all" else tuple(f for f in known if f.name in names)

    def columns_of(self, student: Student) -> tuple[Feature, ...]:
        """The features in a student's training rows, in declared order.

        Its own, the candidates of its selection, and those of a teacher that labels on the fly.
        """
        either = {*self.features_of(student), *self.candidates_of(student)}
        if student.labels == "on_the_fly":
            either |= {*self.features_known_at(self.teacher(student.teacher).stage)}
        return tuple(feature for feature in self.features if feature in either)

    def conditions_of(self, task: str) -> tuple[str, ...]:
        """All tasks that must be positive before this one has a label, nearest first; empty for most."""
        conditions: list[str] = []
        given = self.task(task).given
        while given is not None and given not in conditions:
            conditions.append(given)
            given = self.task(given).given
        return tuple(conditions)

    def tasks_taught(self, teacher: Teacher) -> list[str]:
        """The tasks that a teacher labels: what its stage logs, what is mapped to another cascade's, or all."""
        if teacher.logged:
            return list(self.predictions_of(teacher.stage))
        if teacher.foreign:
            return list(teacher.tasks)
        return [task.name for task in self.tasks]

    def corrected_on_exploration(self, teacher: Teacher) -> bool:
        """Whether explored rows correct a teacher for some student, so that one trained here must not learn from them
        all."""
        return any(s.teacher == teacher.name and s.correction == "exploration" for s in self.students)

    def known_rates(self, teacher: Teacher) -> list[tuple[str, KnownRate]]:
        """The tasks and known rates that correct a teacher for its students, each once, in declared order."""
        of_it = (s for s in self.students if s.teacher == teacher.name)
        return list(dict.fromkeys((s.task, s.correction) for s in of_it if isinstance(s.correction, KnownRate)))

    def task_matched_by(self, teacher: CrossDomainTeacher) -> str | None:
        """The task here for which students match the teacher's hidden layer; None if none does."""
        matching = [s.task for s in self.students if s.teacher == teacher.name and "representation" in s.heads]
        return matching[0] if matching else None


def _by_name(blocks: Sequence[_NamedT], name: str) -> _NamedT:
    for block in blocks:
        if block.name == name:
            return block
    raise KeyError(name)
