"""The state of a training that is under way, below the checkpoint store's root; gone once the training is done.

<root>/<key...>/training/<fingerprint>.safetensors, the position in its header
"""

import hashlib
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from ukdsl_assets.errors import LakeError
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
        """What an interrupted training left behind, None when there is none.

        Raises:
            LakeError: the file is cut or not what was kept.
        """
        from safetensors import SafetensorError
        from safetensors.numpy import load

        content = self._storage.read(self._path)
        if content is None:
            return None
        try:
            tensors = load(content)
            facts = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])["__metadata__"]
            whole = facts["digest"] == _digest(facts["position"], tensors)
        except (SafetensorError, ValueError, KeyError, TypeError):
            whole = False
        if not whole:
            raise LakeError(
                f"{'/'.join(self.key)}: the state of its interrupted training, {self._path}, is damaged: it is not "
                "what was kept. Put it back as it was, or remove it, and the training starts anew."
            )
        return json.loads(facts["position"]), tensors

    def due(self) -> bool:
        """Whether `every_seconds` have passed since the last time."""
        return time.monotonic() - self._last >= self.every_seconds

    def keep(self, position: Mapping[str, int | float], tensors: Mapping[str, NDArray[np.float32]]) -> None:
        """Replace the file in one step."""
        from safetensors.numpy import save

        at = json.dumps(dict(position))
        facts = {"position": at, "digest": _digest(at, tensors)}
        self._storage.write(self._path, save(dict(tensors), metadata=facts))
        self._last = time.monotonic()

    def clear(self) -> None:
        """Remove this training's file; others of the model may be under way, and `sweep` takes what they abandon."""
        self._storage.remove(self._path)

    @property
    def _storage(self) -> Storage:
        return Storage(self.root)

    @property
    def _path(self) -> str:
        return self._storage.path(*checked_key(self.key), "training", f"{self.fingerprint}.safetensors")


def _digest(position: str, tensors: Mapping[str, NDArray[np.float32]]) -> str:
    """Of all that a file says, whatever the order of the arrays."""
    digest = hashlib.sha256(position.encode())
    for name, array in sorted(tensors.items()):
        digest.update(f" {name} {array.dtype} {array.shape} ".encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()
