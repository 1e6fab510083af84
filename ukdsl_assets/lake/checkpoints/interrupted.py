"""The state of a training that is under way, below the checkpoint store's root; gone once the training is done.

<root>/<key...>/training/<fingerprint>.safetensors, the position in its header
"""

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from ukdsl_assets.lake.storage import Storage, checked_key

# Numbers by name that say where the training stands, and its arrays by name.
State = tuple[Mapping[str, int | float], Mapping[str, NDArray[np.float32]]]

KEEP_EVERY_SECONDS = 60.0


@dataclass
class StateFile:
    """Keeps one training's state in a file that only a training of the same input finds.

    root: of the checkpoint store; key: of the model; fingerprint: hash of everything that the training depends on.
    """

    root: str
    key: tuple[str, ...]
    fingerprint: str
    every_seconds: float = KEEP_EVERY_SECONDS
    _last: float = field(default_factory=time.monotonic, init=False)

    def kept(self) -> State | None:
        """What an interrupted training left behind, None when there is none."""
        from safetensors.numpy import load

        content = self._storage.read(self._path)
        if content is None:
            return None
        header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
        return json.loads(header["__metadata__"]["position"]), load(content)

    def due(self) -> bool:
        """Whether `every_seconds` have passed since the last time."""
        return time.monotonic() - self._last >= self.every_seconds

    def keep(self, position: Mapping[str, int | float], tensors: Mapping[str, NDArray[np.float32]]) -> None:
        """Replace the file in one step."""
        from safetensors.numpy import save

        self._storage.write(self._path, save(dict(tensors), metadata={"position": json.dumps(dict(position))}))
        self._last = time.monotonic()

    def clear(self) -> None:
        """Remove this training's file and those that earlier ones of the model left."""
        for path in self._storage.find(*self.key, "training"):
            self._storage.fs.rm_file(path)

    @property
    def _storage(self) -> Storage:
        return Storage(self.root)

    @property
    def _path(self) -> str:
        return self._storage.path(*checked_key(self.key), "training", f"{self.fingerprint}.safetensors")
