"""The models that answer now, replaced as a whole, so that a request keeps those that it began with."""

import threading
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from types import MappingProxyType
from typing import Literal, NamedTuple

from ukdsl_assets.serving.http.drift import InputMonitor
from ukdsl_assets.serving.onnx_file import OnnxStudent

# Cascade and student.
Key = tuple[str, str]
State = Literal["not looked for yet", "nothing released", "loading", "loaded", "refused"]


@dataclass(frozen=True)
class Model:
    """A loaded student, and what its requests have shown so far."""

    student: OnnxStudent
    monitor: InputMonitor
    loaded_at: float = field(default_factory=time.time)

    @cached_property
    def version(self) -> str:
        """Of its checkpoint."""
        return self.student.metadata.version

    @cached_property
    def reads(self) -> str:
        """The same for models whose columns are made alike, so that a page makes them once."""
        return repr([replace(each, mean=(), deviation=()) for each in self.student.metadata.inputs])

    @cached_property
    def serving_head(self) -> str:
        """The head whose probability puts candidates in order."""
        return self.student.metadata.heads[-1]


class Standing(NamedTuple):
    """How far a student is: its state, the version that is released, and why that is not the one that answers."""

    state: State
    released: str | None = None
    why: str = ""


class Models:
    """Which model of each student answers; readers take `current` once and keep it, writers replace it."""

    def __init__(self, keys: Iterable[Key]) -> None:
        self.keys = tuple(keys)
        self.current: Mapping[Key, Model] = MappingProxyType({})
        self.standing: dict[Key, Standing] = dict.fromkeys(self.keys, Standing("not looked for yet"))
        self.swaps = 0
        self._lock = threading.Lock()

    def swap(self, key: Key, model: Model | None) -> None:
        """From here on new requests are answered by this model; None: by none."""
        with self._lock:
            others = {each: held for each, held in self.current.items() if each != key}
            self.current = MappingProxyType(others if model is None else {**others, key: model})
            self.swaps += 1

    @property
    def ready(self) -> bool:
        """Whether every student has a model that answers."""
        return all(key in self.current for key in self.keys)
