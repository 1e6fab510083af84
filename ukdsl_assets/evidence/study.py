"""What a study is: a function of settings and a seed, repeated over seeds, and the tables that sum it up.

To add one, write a module beside this one with

    def measure(settings: Mapping[str, Any], scratch: Path, progress: StudyProgress) -> Rows:
        return {"main": [{"arm": "baseline", "calibration": 1.27}, {"arm": "distilled", "calibration": 1.01}]}

    STUDY = Study(
        name="my-study",
        question="Does distillation calibrate?",
        data="simulated ads, {requests:,} requests a day, label: clicks, head: serving",
        version=1,
        measure=measure,
        defaults={"requests": 10_000},
        meanings={"requests": "requests a day"},
        tables=(TableOf("main", "Calibration by arm", keys=("arm",), figures={"calibration": ".3f"}),),
    )

and name the module in `registry.py`, "my-study": ("my_study", "Does distillation calibrate?"): that makes
`ukdsl evidence my-study`, with resuming, processes, progress, errors and JSON; written to docs/evidence/, the JSON
becomes a section of docs/evidence.md. What is compared within a seed (a change against the baseline) is a figure that
`measure` computes, so that its standard error is that of the paired difference.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# Called with steps done and steps in all.
StudyProgress = Callable[[int, int], None]
Rows = dict[str, list[dict[str, Any]]]


@dataclass(frozen=True)
class TableOf:
    """How rows of one name become a table: a line for each combination of `keys`, in order of first appearance.

    figures: column -> format of its mean and standard error, such as `.3f` or `+.2%`; a missing or None figure is
    left out of its mean. beside: lines shown below, for instance the paper's own figures, as column -> text.
    folded: for details: the page shows it on a click, the terminal not at all.
    """

    name: str
    title: str
    keys: tuple[str, ...]
    figures: Mapping[str, str]
    beside: Sequence[Mapping[str, str]] = ()
    folded: bool = False


@dataclass(frozen=True)
class Aim:
    """A claim about one figure, reached when its mean +- two standard errors lies in [low, high].

    line: values of the table's keys, as many as single one line out. low, high: None for no bound.
    """

    claim: str
    table: str
    line: Mapping[str, str]
    figure: str
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Study:
    """A claim and how it is measured.

    question: what it answers, one line. data: what the figures are of (data, label, head, size); a template of the
        settings. version: raise it when results change for the same settings, so that stored ones are not taken.
    measure: (settings with `seed`, a folder that is kept between calls for whatever is dear to make again, progress as
        (steps done, steps in all)) -> table name -> rows of JSON values. A pure function of the settings, defined at
        the top of a module (it is sent to processes by name), on one thread.
    defaults: its settings beside the seed, JSON values. meanings: what each of them is, for `--help`.
    seeds: how many are measured where nothing else is asked for.
    aims: what the figures should be; shown beside them as reached or not.
    """

    name: str
    question: str
    data: str
    version: int
    measure: Callable[[Mapping[str, Any], Path, StudyProgress], Rows]
    defaults: Mapping[str, Any]
    meanings: Mapping[str, str]
    tables: tuple[TableOf, ...]
    seeds: int = 10
    aims: tuple[Aim, ...] = ()
