"""Names of the columns and tables that every step reads and writes, each written once."""

# What identifies a row of every table of candidates.
KEYS = ("request_id", "candidate_id")
# Event of what was seen, which no task declares.
IMPRESSION = "impression"
# Table of impressions whose attribution windows have closed.
CLOSED_IMPRESSIONS = "closed_impressions"
# Domains of `teacher_augmented`: shown rows, whose reference is the label; what the next stage scored (the paper's
# consideration data), whose reference is the teacher; and what the student's own stage rejected and its teacher labels
# all the same.
IMP, CD, REJECTED = "IMP", "CD", "REJECTED"
# Domains of figures beside these: all that the student's stage scored (CD and REJECTED), of that what a student itself
# would hand on, and withheld rows that were shown by chance.
SCORED, OWN, EXPLORED = "SCORED", "OWN", "EXPLORED"
# The same of the trailing days together.
EXPLORED_TRAILING = "EXPLORED_TRAILING"
# Domains of an evaluation of a task that is given another: all impressions, by the product of both probabilities, and
# CD weighted by the probability of what is given. Column of `teacher_augmented` that holds that probability.
PRODUCT, GIVEN = "PRODUCT", "GIVEN"
GIVEN_PROBABILITY = "given_probability"
# Column of `teacher_augmented` that a student's output learns, and that of a teacher's hidden layer.
TARGET, REPRESENTATION = "target", "representation"
# The logs' contract calls what no trainer may read by this prefix.
_PREDICTION, _NOT_TO_TRAIN_ON = "_prediction", "audit_"


def label_column(task: str) -> str:
    """Column of `teacher_labels` that holds a teacher's prediction for a task."""
    return f"{task}{_PREDICTION}"


def prediction_column(stage: str, task: str) -> str:
    """Column of the candidate log that holds a stage's logged prediction for a task."""
    return f"{stage}_{task}{_PREDICTION}"


def delay_column(task: str) -> str:
    """Column of `impressions` that holds the seconds from a request to the event of a delayed task."""
    return f"{task}_delay"


def truth_column(task: str) -> str:
    """Column of the candidate log that holds a task's true probability; trainers never read it."""
    return f"{_NOT_TO_TRAIN_ON}true_{task}"


def is_reserved(name: str) -> bool:
    """Whether tables have such a column for themselves, so that no stage, task or feature may have the name."""
    return name in RESERVED or name.startswith(_NOT_TO_TRAIN_ON) or name.endswith(_PREDICTION)


# Columns that the tables have for themselves, by the table that has them first.
RESERVED = frozenset(
    # candidate_log; impressions, considerations and teacher_augmented take most of them over.
    {"request_id", "candidate_id", "requested_at", "deepest_stage", "bid", "shown", "explored", "propensity"}
    # candidate_log of a cascade with `has_probes`, and considerations
    | {"probed", "probe_rate"}
    # event_log
    | {"event", "occurred_at", "value"}
    # Every table: the lake adds the partition.
    | {"day"}
    # impressions of a cascade with a delayed task, and teacher_augmented
    | {"known_until"}
    # considerations and teacher_augmented
    | {"weight"}
    # teacher_augmented
    | {"target", "domain", "teacher", "teacher_version", "withheld"}
    # teacher_augmented of a student whose task is given another, and its truth where the source knows it
    | {"given_probability", "true_given"}
    # teacher_augmented of a student with head representation, and the labels of its teacher
    | {"representation"}
    # Rows that a student is judged by, beside their segments.
    | {"truth"}
    # Rows whose labels are corrected for their delay; targets of all rows that have the column are multiplied by it.
    | {"label_factor"}
    # stage_calibration and evaluation say what predictions are compared with; label is one of the answers.
    | {"reference", "label"}
)
# What comes before the first `/` of keys that are of no cascade.
OF_NO_CASCADE = frozenset({"evidence", "theory"})
# Dagster calls a step by the parts of its key with this between them.
BETWEEN_PARTS = "__"
# Tables of a cascade that no SQL model makes.
NO_MODELS_TABLES = frozenset(
    # The logs, as read.
    {"candidate_log", "event_log"}
    # The model of impressions once more, over an earlier day's logs, where a task is delayed.
    | {CLOSED_IMPRESSIONS}
    # No table: what a simulated world remembers, in a folder of the lake.
    | {"simulated_state"}
)
# Tables of a cascade, whose folders in the lake stand beside those of its teachers and students.
TABLES = NO_MODELS_TABLES | {"off_policy", "impressions", "considerations", "stage_calibration"}
