"""The file of a released version: found below the lake, or made in a process of its own that holds it to its gate.

<lake>/exports/<cascade>/<student>/<version>.onnx
"""

import logging
import os
import subprocess
import sys
import tempfile
import threading
from dataclasses import dataclass, field
from pathlib import Path

from ukdsl_assets.errors import ScoringError, in_own_words
from ukdsl_assets.lake.storage import Storage, checked_key
from ukdsl_assets.serving.onnx_file import OnnxStudent

_log = logging.getLogger(__name__)
FOLDER = "exports"
# An export that takes longer has hung.
LONGEST_SECONDS = 1_800.0
# An export that is ended has so long to end by itself.
_PATIENCE = 5.0
# Of what a refused export said its last lines are told.
_TOLD = 600


@dataclass(frozen=True)
class Exports:
    """Files of versions below a lake.

    Attributes:
        lake: its root, local or of a store.
        stop: set when the server stops: an export under way is ended.
    """

    lake: str
    stop: threading.Event = field(default_factory=threading.Event)

    def path_of(self, cascade: str, student: str, version: str) -> str:
        """Where the file of a version lies."""
        return self._storage.path(FOLDER, *checked_key((cascade, student)), f"{version}.onnx")

    def content(self, cascade: str, student: str, version: str) -> bytes | None:
        """The file of a version, None where there is none yet.

        Raises:
            LakeError: it cannot be read.
        """
        return self._storage.read(self.path_of(cascade, student, version))

    def make(self, cascade: str, student: str, version: str) -> bytes:
        """Exports what is released in a process of its own and keeps the file below the lake.

        Raises:
            ScoringError: the export was refused, failed or took too long; nothing is kept.
        """
        with tempfile.TemporaryDirectory() as folder:
            target = Path(folder) / f"{version}.onnx"
            command = [sys.executable, "-m", "ukdsl_assets", "export", cascade, student, "--output", str(target)]
            self._run(command, f"{cascade}/{student}, version {version}")
            seen = OnnxStudent.load(target).metadata.version
            if seen != version:
                # Another version was released meanwhile; the next look asks for that one.
                raise ScoringError(f"{cascade}/{student}: version {seen} was exported, expected {version}; look again")
            content = target.read_bytes()
        place = self.path_of(cascade, student, version)
        try:
            self._storage.write(place, content)
        except OSError as error:
            # A server may have no right to write: it serves all the same, and exports again where it starts again.
            _log.warning("%s: the export is not kept: %s", place, in_own_words(error))
        return content

    def _run(self, command: list[str], where: str) -> None:
        with tempfile.TemporaryFile() as said:
            # Of the lake that is served, whatever the settings of the folder say.
            lake = os.environ | {"UKDSL_LAKE": self.lake}
            child = subprocess.Popen(command, stdout=said, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, env=lake)
            try:
                waited = 0.0
                while child.poll() is None and not self.stop.wait(0.1) and waited < LONGEST_SECONDS:
                    waited += 0.1
            finally:
                ended = child.poll()
                if ended is None:
                    child.terminate()
                    try:
                        child.wait(_PATIENCE)
                    except subprocess.TimeoutExpired:
                        child.kill()
                        child.wait()
            said.seek(0)
            told = said.read().decode(errors="replace").strip()[-_TOLD:]
        if ended == 0:
            return
        if self.stop.is_set():
            raise ScoringError(f"{where}: the server was asked to stop before its export was done")
        how = "took too long" if ended is None else f"ended with {ended}"
        again = " ".join(command[2:5])
        raise ScoringError(f"{where}: its export {how}: {told}; run it by hand: python -m {again} ...")

    @property
    def _storage(self) -> Storage:
        return Storage(self.lake)
