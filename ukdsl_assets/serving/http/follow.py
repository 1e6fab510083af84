"""Following the release pointer: what is released is loaded beside what answers, warmed, and takes its place."""

import logging
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

from ukdsl_assets.errors import ScoringError, in_own_words
from ukdsl_assets.lake.checkpoints.releases import ReleaseStore
from ukdsl_assets.serving.http.drift import InputMonitor
from ukdsl_assets.serving.http.exports import Exports
from ukdsl_assets.serving.http.models import Key, Model, Models, Standing
from ukdsl_assets.serving.onnx_file import OnnxStudent

# A version that was refused is tried again after so long: the disk may have been full.
RETRY_SECONDS = 300.0

_log = logging.getLogger(__name__)


@dataclass
class Follower:
    """A thread that looks for what is released every few seconds; whatever goes wrong, what answers goes on.

    Attributes:
        models: that it replaces.
        releases: where the pointers are; exports: where the files are.
        seconds: between two looks.
    """

    models: Models
    releases: ReleaseStore
    exports: Exports
    seconds: float = 5.0
    _refused: dict[Key, tuple[str, float]] = field(default_factory=dict, init=False)
    _thread: threading.Thread | None = field(default=None, init=False)

    def start(self) -> None:
        """Begins to look, at once and then every `seconds`, in a thread of its own."""
        self._thread = threading.Thread(target=self._keep_looking, name="follow releases", daemon=True)
        self._thread.start()

    def stop(self, seconds: float | None = None) -> None:
        """Ends the thread, and an export that it waits for; may be called twice.

        Args:
            seconds: after which a store that does not answer is waited for no longer; None waits for ever.
        """
        self.exports.stop.set()
        if self._thread is not None:
            self._thread.join(seconds)

    def look(self) -> None:
        """One look at every student's pointer; returns once all that is released answers or was refused."""
        for key in self.models.keys:
            if self.exports.stop.is_set():
                return
            try:
                self._follow(key)
            except Exception as error:
                # A store that is away, a damaged file: what answers goes on, and whoever watches is told.
                self._refuse(key, self.models.standing[key].released, in_own_words(error))

    def _keep_looking(self) -> None:
        while not self.exports.stop.is_set():
            self.look()
            self.exports.stop.wait(self.seconds)

    def _follow(self, key: Key) -> None:
        entry, held = self.releases.released(key), self.models.current.get(key)
        if entry is None:
            if held is not None:
                _log.info("%s/%s: its release was withdrawn, and no other is left", *key)
                self.models.swap(key, None)
            self.models.standing[key] = Standing("nothing released")
            return
        version = str(entry.get("checkpoint"))
        if held is not None and held.version == version:
            self._refused.pop(key, None)
            self.models.standing[key] = Standing("loaded", version)
            return
        of, until = self._refused.get(key, ("", 0.0))
        if of == version and time.monotonic() < until:
            return
        self.models.standing[key] = Standing("loading", version)
        try:
            model = self._loaded(key, version)
        except Exception as error:
            if self.exports.stop.is_set():
                return
            self._refused[key] = (version, time.monotonic() + RETRY_SECONDS)
            self._refuse(key, version, in_own_words(error))
            return
        self.models.swap(key, model)
        self._refused.pop(key, None)
        self.models.standing[key] = Standing("loaded", version)
        _log.info("%s/%s: version %s of %s answers", *key, version, model.student.metadata.day)

    def _loaded(self, key: Key, version: str) -> Model:
        """The model of a version, once it has answered.

        Raises:
            ScoringError: it cannot be exported, is not what it should be, or does not answer.
        """
        content = self.exports.content(*key, version)
        if content is None:
            content = self.exports.make(*key, version)
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / f"{version}.onnx"
            file.write_bytes(content)
            student = OnnxStudent.load(file)
        about = student.metadata
        if (about.cascade, about.student, about.version) != (*key, version):
            raise ScoringError(
                f"{self.exports.path_of(*key, version)}: it holds {about.cascade}/{about.student}, version "
                f"{about.version}, expected {'/'.join(key)}, version {version}; remove it, and it is made again"
            )
        warm(student)
        return Model(student, InputMonitor(about))

    def _refuse(self, key: Key, version: str | None, why: str) -> None:
        if self.models.standing[key].why != why:
            _log.warning("%s/%s: what is released is not loaded, what answered before goes on: %s", *key, why)
        self.models.standing[key] = Standing("refused", version, why)


def warm(student: OnnxStudent) -> None:
    """One answer of a row of zeros, so that no request waits for what is done once.

    Raises:
        ScoringError: it does not answer, or not with probabilities.
    """
    zero: dict[str, object] = {"int64": 0, "string": "", "float32": 0.0}
    row: dict[str, object] = {}
    for each in student.metadata.inputs:
        one = None if each.missing == "allowed" else zero[each.dtype]
        row[each.name] = (
            [0.0] * (each.width or 1) if each.kind == "vector" else [] if each.kind == "multi_valued" else one
        )
    scores = student.score(student.columns_of([row]))
    if not all(0 <= float(each[0]) <= 1 for each in scores.heads.values()):
        raise ScoringError(
            f"version {student.metadata.version}: a row of zeros is scored {scores.heads}, no probability"
        )
