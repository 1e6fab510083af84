"""ukdsl-assets: cascade logs become gated, distilled students, one Dagster partition a day.

What Python may import are the names of `__all__`, and no others: docs/public.md says what that promises. They are
found in their rooms when they are first asked for, so that `import ukdsl_assets` itself loads nothing heavy.
"""

import os
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ukdsl_assets.declaration.read import read_cascade
    from ukdsl_assets.logs.contract import candidate_log_schema, event_log_schema
    from ukdsl_assets.selection.importance.importance import student_importance
    from ukdsl_assets.serving.released import load_student

# What polars frees stays with it for ten seconds, in which a day's next frame asks for it again: a sixth of what a day
# spends in the kernel (issue 16). Its allocator looks here when polars is loaded, in this process or in a worker.
os.environ.setdefault("_RJEM_MALLOC_CONF", "dirty_decay_ms:10000")

__version__ = "0.2.0"
__all__ = ["candidate_log_schema", "event_log_schema", "load_student", "read_cascade", "student_importance"]

# Public name -> the module that holds it.
_MODULES = {
    "candidate_log_schema": "ukdsl_assets.logs.contract",
    "event_log_schema": "ukdsl_assets.logs.contract",
    "load_student": "ukdsl_assets.serving.released",
    "read_cascade": "ukdsl_assets.declaration.read",
    "student_importance": "ukdsl_assets.selection.importance.importance",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(
            f"module {__name__!r} has no attribute {name!r}; its public names are {', '.join(__all__)}"
        )
    return getattr(import_module(_MODULES[name]), name)


def __dir__() -> list[str]:
    return sorted({*__all__, *(name for name in globals() if name.startswith("__"))})
