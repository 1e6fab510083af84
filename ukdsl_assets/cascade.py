"""The declaration of a cascade: what its YAML file may say, and nothing about how it is run.

Everything downstream is built from this: log contract, SQL, teachers, students, gates and the asset graph.
"""

from collections.abc import Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import AfterValidator, Field, ValidationError, model_validator

from ukdsl_assets.declared import Declared, Duration, Name
from ukdsl_assets.declared_sources import Source
from ukdsl_assets.declared_students import Student
from ukdsl_assets.declared_teachers import Teacher
from ukdsl_assets.errors import DeclarationError
from ukdsl_assets.references import wrong_references
from ukdsl_assets.wrong_declaration import WrongDeclarationError, wrong_keys

# What Dagster takes for an owner: a team or an address.
OWNER = r"^(team:[\w-]+|[^@\s]+@[^@\s]+)$"
Share = Annotated[float, Field(gt=0, le=1)]
Bounds = Annotated[tuple[float, float], AfterValidator(lambda pair: _ordered(pair))]

SHIPPED = Path(__file__).parent / "cascades"


class Stage(Declared):
    """One ranking model of the cascade, in the order in which candidates pass them.

    predicts: tasks whose prediction the stage logs (None: all of the cascade's, []: the stage logs no prediction).
    consideration_rate: share of the unshown candidates that got no deeper than this stage which `considerations`
        keeps; each kept row carries the weight 1 / rate.
    """

    name: Name
    predicts: tuple[Name, ...] | None = None
    consideration_rate: Share = 1.0


class Task(Declared):
    """An outcome to predict: whether `event` follows the request within `attribution_window`.

    given: another task that must be positive for this one to have a label (a post-click conversion: given click).
    delayed: whether labels keep arriving for days, so that a fresh day's are too few; gates on them then only tell.
    """

    name: Name
    event: Name
    attribution_window: Duration = Field(gt=timedelta(0))
    given: Name | None = None
    delayed: bool = False


class Feature(Declared):
    """A declared input column of the logs.

    side: "request" if it is the same for all candidates of a request, "candidate" if it may differ between them.
    kind: "multi_valued" is a list of ids, whose embeddings are pooled; an id that stands twice counts twice, an empty
        list is the zero vector.
    values: type of the ids of a categorical or multi-valued feature.
    hash_buckets: ids share that many embedding rows by their hash, instead of one each: nothing is kept of an id, new
        ones land in a bucket at once, and two of n ids meet in one with a probability of 1 / hash_buckets.
    pooling: of a multi-valued feature; most_values: the longest list, of which the tables and the trainer make room.
    width: length of a vector feature.
    known_from: first stage that has the feature (None: all); it is null on candidates that did not get there.
    served_as: of a feature that only what was shown has, such as its slot on the page: the value with which candidates
        are scored, and for which a teacher labels them. It is null exactly on candidates that were not shown.
    cost: relative cost of serving it, for cost-aware selection.
    """

    name: Name
    kind: Literal["categorical", "multi_valued", "numeric", "vector"]
    side: Literal["request", "candidate"]
    values: Literal["integer", "string"] = "integer"
    hash_buckets: int | None = Field(None, ge=1, le=2**24)
    pooling: Literal["mean", "sum"] = "mean"
    most_values: int = Field(64, ge=1)
    width: int | None = Field(None, ge=1)
    known_from: Name | None = None
    served_as: int | str | None = None
    cost: float = Field(1.0, ge=0)

    @model_validator(mode="after")
    def _width_is_for_vectors(self) -> "Feature":
        if (self.kind == "vector") != (self.width is not None):
            raise ValueError("`width` is required for a vector feature and not allowed for others")
        if self.hash_buckets is not None and not self.of_ids:
            raise ValueError("`hash_buckets` is for categorical and multi_valued features; leave it out")
        return self

    @model_validator(mode="after")
    def _served_as_one_of_its_ids(self) -> "Feature":
        if self.served_as is not None:
            if self.kind != "categorical" or self.side != "candidate" or self.known_from is not None:
                raise ValueError("`served_as` is for categorical features of the candidate without `known_from`")
            if isinstance(self.served_as, str) != (self.values == "string"):
                raise ValueError(f"`served_as` is {self.served_as!r}; expected a value of type {self.values}")
        return self

    @property
    def of_ids(self) -> bool:
        """Whether its values are ids, each with an embedding, and not numbers."""
        return self.kind in ("categorical", "multi_valued")


class Gates(Declared):
    """Bounds of the quality gates. A pair is (lowest, highest) allowed.

    volume, label_rate: today's rows and label rate over the median of the trailing seven days.
    late_stage_present: least share of requests with a prediction of the last stage that logs any.
    teacher_calibration: on withheld impressions; teacher_exploration: on exploration rows. Both are judged at two
        standard errors and block from 100 positive labels on; below that they only tell. The 95% interval of
        `teacher_audit` is held against teacher_exploration too, and only tells.
    student_calibration: distilled student on withheld considered rows against its teacher, and on withheld
        impressions against labels (there at two standard errors).
    normalized_entropy: most that the distilled student's NE may exceed the baseline's, as a fraction, per domain.
    selection_stability: least Jaccard index of a day's selected features with those of the day before; it only tells.
    implausible_importance: a candidate feature that NE depends on more than this is taken for a leak of the outcome.
    """

    volume: Bounds = (0.5, 2.0)
    label_rate: Bounds = (0.5, 2.0)
    late_stage_present: Share = 0.9
    teacher_calibration: Bounds = (0.7, 1.4)
    teacher_exploration: Bounds = (0.6, 1.6)
    student_calibration: Bounds = (0.85, 1.15)
    normalized_entropy: float = 0.02
    selection_stability: Share = 0.5
    implausible_importance: float = Field(0.5, gt=0)


class Cascade(Declared):
    """A whole cascade. `origin` is the file that declares it, named in errors.

    identifiers: type of request_id and candidate_id.
    has_bid: the log has a `bid` column. has_truth: the source knows true probabilities and logs them in
        `audit_true_<task>` columns, which no trainer reads.
    note: shown wherever results are, e.g. "semi-real".
    withheld_share: share of requests, by hash, that no model is trained on.
    evaluation_days: trailing days, the day's own last, whose withheld requests students are judged by; more than one
        where a day has too few positive labels to judge by. Days of before a student's features are left out.
    exploration_days: trailing days whose explored rows are pooled to audit the teachers, and to correct them.
    segments: categorical features that a student's calibration is also reported by, where it has them.
    last_day: for logs that have ended; such a cascade has no schedule.
    """

    name: Name
    description: str
    note: str = ""
    owner: str = Field("team:ranking", pattern=OWNER)
    first_day: date
    last_day: date | None = None
    identifiers: Literal["integer", "string"] = "integer"
    has_bid: bool = False
    has_truth: bool = False
    withheld_share: float = Field(0.2, gt=0, lt=1)
    evaluation_days: int = Field(1, ge=1)
    exploration_days: int = Field(28, ge=1)
    stages: tuple[Stage, ...] = Field(min_length=1)
    tasks: tuple[Task, ...] = Field(min_length=1)
    features: tuple[Feature, ...] = Field(min_length=1)
    segments: tuple[Name, ...] = ()
    source: Source
    teachers: tuple[Teacher, ...] = ()
    students: tuple[Student, ...] = ()
    gates: Gates = Gates()
    origin: str = Field("", exclude=True)

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

    @model_validator(mode="after")
    def _references_hold(self) -> "Cascade":
        problems = wrong_references(self)
        if problems:
            raise WrongDeclarationError(problems)
        return self


def prediction_column(stage: str, task: str) -> str:
    """Column of the candidate log that holds a stage's logged prediction for a task."""
    return f"{stage}_{task}_prediction"


def delay_column(task: str) -> str:
    """Column of `impressions` that holds the seconds from a request to the event of a delayed task."""
    return f"{task}_delay"


def truth_column(task: str) -> str:
    """Audit column of the candidate log that holds a task's true probability; trainers never read it."""
    return f"audit_true_{task}"


def read_cascade(path: Path) -> Cascade:
    """Read and check one YAML declaration; `extends: OTHER.yaml` (beside it) gives the keys that it leaves out.

    Raises:
        DeclarationError: names the file, each wrong key, what was seen and what was expected.
    """
    files = _files(path)
    content = {key: value for _, each in reversed(files) for key, value in each.items()}
    try:
        return Cascade.model_validate({**content, "origin": str(path)})
    except ValidationError as error:
        lines = []
        for key, line in wrong_keys(Cascade, content, error):
            file = next((file for file, each in files if key in each), path)
            lines.append(f"  {line}" + (f" (in {file})" if file != path else ""))
        raise DeclarationError(f"{path}: {len(lines)} wrong key(s)\n" + "\n".join(lines)) from None


def read_cascades(*folders: Path | None) -> dict[str, Cascade]:
    """Every `*.yaml` of the folders (None is skipped) by cascade name.

    Raises:
        DeclarationError: for a wrong file, a missing folder, or two files that declare the same name.
    """
    cascades: dict[str, Cascade] = {}
    for folder in folders:
        if folder is None:
            continue
        if not folder.is_dir():
            raise DeclarationError(f"{folder}: no such folder of cascade declarations; set UKDSL_CASCADES to one")
        for path in sorted([*folder.glob("*.yaml"), *folder.glob("*.yml")]):
            cascade = read_cascade(path)
            if cascade.name in cascades:
                raise DeclarationError(
                    f"{path}: `name: {cascade.name}` is taken by {cascades[cascade.name].origin}; choose another"
                )
            cascades[cascade.name] = cascade
    return cascades


def _files(path: Path, above: tuple[Path, ...] = ()) -> list[tuple[Path, dict[str, Any]]]:
    """The keys of a file, then those of the file that it extends and so on; whole keys, nothing is merged."""
    try:
        content = yaml.safe_load(path.read_text())
    except (OSError, yaml.YAMLError) as error:
        raise DeclarationError(f"{path}: not readable as YAML: {error}") from error
    if not isinstance(content, dict):
        raise DeclarationError(f"{path}: expected a mapping of keys such as `name` and `stages`, saw {content!r:.80}")
    if (extended := content.pop("extends", None)) is None:
        return [(path, content)]
    other = path.parent / str(extended)
    if other in (path, *above):
        raise DeclarationError(f"{path}: extends: `{extended}` leads back to itself; expected another file")
    return [(path, content), *_files(other, (path, *above))]


def _ordered(pair: tuple[float, float]) -> tuple[float, float]:
    if pair[0] > pair[1]:
        raise ValueError("expected [lowest, highest]")
    return pair


def _by_name(items: Sequence[Any], name: str) -> Any:
    for item in items:
        if item.name == name:
            return item
    raise KeyError(name)
