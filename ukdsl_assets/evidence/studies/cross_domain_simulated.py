"""Zero-shot distillation between two surfaces of a simulated world, the small one with a hundredth of the traffic."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ukdsl_assets.evidence.studies.cross_domain import (
    CONSIDERED,
    IMPRESSIONS,
    OF_STUDENTS,
    TEACHERS,
    SourceModels,
    aims_of,
    surface_rows,
)
from ukdsl_assets.evidence.study import Rows, Study, StudyProgress
from ukdsl_assets.evidence.worlds.cross_domain_rows import simulated_source, simulated_surface


def measure(settings: Mapping[str, Any], scratch: Path, progress: StudyProgress) -> Rows:
    """All arms of both students in one world."""
    cascade, rows = simulated_source(settings["seed"], settings["days"])
    progress(1, 3)
    teacher = SourceModels(cascade, rows, settings["trees"])
    progress(2, 3)
    surface = simulated_surface(settings["seed"], settings["days"], settings["judged_requests"])
    tables = surface_rows("simulated", teacher, surface, settings)
    progress(3, 3)
    return tables


STUDY = Study(
    name="cross-domain-simulated",
    question="Does a small surface learn from a large one's model, used as it is? (a simulated pair)",
    data="two surfaces of a simulated world over {days} days, 10,000 and 100 requests a day, the small one with other "
    "tastes, fewer clicks and fewer features; judged on {judged_requests} requests of the next day; label: clicks, and "
    "the true probabilities; head: main",
    version=1,
    measure=measure,
    defaults={
        "trees": 100,
        "days": 10,
        "judged_requests": 2000,
        "weight": 1.0,
        "epochs": 2,
        "learning_rate": 2e-3,
        "requests_per_batch": 16,
    },
    meanings={
        "trees": "most trees of the teacher",
        "days": "days that teacher and students are trained on",
        "judged_requests": "requests of the next day on which all are judged",
        **OF_STUDENTS,
    },
    tables=(TEACHERS, IMPRESSIONS, CONSIDERED),
    aims=aims_of([("simulated", "click_mlp"), ("simulated", "click_dcn_v2")]),
)
