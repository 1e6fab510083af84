"""The outputs that a student's network has while it is trained: its served heads and the tasks that only shape it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from ukdsl_assets.declaration.columns import CD, IMP, REPRESENTATION, TARGET, label_column
from ukdsl_assets.declaration.students import Student


@dataclass(frozen=True)
class Output:
    """One or more outputs of the network in training, and the rows that train them.

    kind: head (served); label (a further task's labels); dependent, auxiliary (a teacher's label); representation (the
        teacher's hidden layer, under squared error).
    column: of teacher_augmented, with the target. domains: IMP, CD or both: the rows that train it.
    width: how many outputs; of a representation as many as the teacher's layer has.
    """

    kind: Literal["head", "label", "dependent", "auxiliary", "representation"]
    column: str
    domains: tuple[str, ...]
    width: int = 1


def outputs_of(student: Student, heads: Sequence[str], baseline: bool, width: int = 0) -> tuple[Output, ...]:
    """Outputs in their order: heads, further tasks of labels, tasks of the teacher, its representation last.

    The baseline has those that labels train.

    Args:
        heads: that the checkpoint will have; with one head and no task of the teacher both domains train it.
        width: of the teacher's hidden layer; 0 where no output needs it.
    """
    tasks = () if baseline else student.teacher_tasks
    both = len(heads) == 1 and not tasks
    served = [Output("head", TARGET, (IMP, CD) if both else (IMP,))]
    served += [Output("head", TARGET, (CD,)) for _ in heads[1:]]
    labels = [Output("label", task, (IMP,)) for task in student.label_tasks]
    taught = []
    for task in tasks:
        if task == "dependent":
            taught.append(Output("dependent", TARGET, (CD,)))
        elif task == "auxiliary":
            taught += [Output("auxiliary", taught_column(student, name), (CD,)) for name in student.taught_tasks]
        else:
            taught.append(Output("representation", REPRESENTATION, (CD,), width))
    return (*served, *labels, *taught)


def taught_column(student: Student, task: str) -> str:
    """Column of teacher_augmented with the teacher's label for a task: `target` for the student's own."""
    return TARGET if task == student.task else label_column(task)
