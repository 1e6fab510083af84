"""Names of the columns and tables that every step reads and writes, each written once."""

# What identifies a row of every table of candidates.
KEYS = ("request_id", "candidate_id")
# Domains of `teacher_augmented`: shown rows, whose reference is the label, and what the next stage scored (the paper's
# consideration data), whose reference is the teacher.
IMP, CD = "IMP", "CD"
# Column of `teacher_augmented` that a student's output learns, and that of a teacher's hidden layer.
TARGET, REPRESENTATION = "target", "representation"


def label_column(task: str) -> str:
    """Column of `teacher_labels` that holds a teacher's prediction for a task."""
    return f"{task}_prediction"


def prediction_column(stage: str, task: str) -> str:
    """Column of the candidate log that holds a stage's logged prediction for a task."""
    return f"{stage}_{task}_prediction"


def delay_column(task: str) -> str:
    """Column of `impressions` that holds the seconds from a request to the event of a delayed task."""
    return f"{task}_delay"


def truth_column(task: str) -> str:
    """Column of the candidate log that holds a task's true probability; trainers never read it."""
    return f"audit_true_{task}"


# Names that the tables use for themselves; a stage, task, feature or event must not take them.
RESERVED = frozenset(
    {"request_id", "candidate_id", "requested_at", "deepest_stage", "bid", "shown", "explored", "propensity", "day"}
    | {"event", "occurred_at", "value", "target", "weight", "domain", "teacher", "teacher_version", "withheld"}
    | {"label", "truth", "reference", "known_until", "representation"}
)
# Folders of the lake beside those of teachers and students.
TABLES = frozenset(
    {
        "candidate_log",
        "event_log",
        "impressions",
        "closed_impressions",
        "considerations",
        "stage_calibration",
        "simulated_state",
    }
)
