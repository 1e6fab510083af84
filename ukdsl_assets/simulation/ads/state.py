"""The production models' state after each simulated day: one safetensors file a day, written atomically."""

import hashlib
import json
import re
import uuid
from collections.abc import Mapping

import fsspec
import safetensors.torch
import torch
from safetensors import SafetensorError

from ukdsl_assets.errors import SourceError
from ukdsl_assets.simulation.ads.production import ProductionModels

# Raise it when the world or the models change, so that states of before are not carried on.
_WORLD_VERSION = 1


class StateFolder:
    """States of one world at one scale, in `<folder>/seed=<seed>/scale=<scale>/<day>.safetensors`.

    Args:
        folder: local path or fsspec URI; made when first written to.
    """

    def __init__(self, folder: str, seed: int, scale: str) -> None:
        self._files, root = fsspec.core.url_to_fs(folder)
        self._folder = f"{root.rstrip('/')}/seed={seed}/scale={scale}"
        self._seed = seed

    def days(self) -> list[int]:
        """Days whose state is saved, ascending; empty if there are none. Warm-up days are negative.

        Raises:
            SourceError: a file is called after no day.
        """
        self._files.invalidate_cache(self._folder)
        try:
            paths = self._files.ls(self._folder, detail=False)
        except FileNotFoundError:
            return []
        stems = [
            path.rsplit("/", 1)[-1].removesuffix(".safetensors") for path in paths if path.endswith(".safetensors")
        ]
        if wrong := [stem for stem in stems if not re.fullmatch(r"-?[0-9]+", stem)]:
            raise SourceError(
                f"{self._folder}/{wrong[0]}.safetensors: expected <number of a simulated day>.safetensors; "
                "move it elsewhere"
            )
        return sorted(int(stem) for stem in stems)

    def save(self, models: ProductionModels) -> None:
        """Save the state after `models.trained_to`; a reader sees the whole file or none."""
        tensors = {**models.state(), "world_version": torch.tensor(_WORLD_VERSION)}
        path = self._path(models.trained_to)
        unfinished = f"{path}.{uuid.uuid4().hex}.unfinished"
        self._files.makedirs(self._folder, exist_ok=True)
        self._files.pipe_file(unfinished, safetensors.torch.save(tensors, {"digest": _digest(tensors)}))
        self._files.mv(unfinished, path)

    def load(self, day: int) -> ProductionModels:
        """The models after a day.

        Raises:
            SourceError: the file is gone, broken or not what was saved, or was written by another version of the
                simulation.
        """
        path = self._path(day)
        models = ProductionModels(self._seed, day)
        try:
            content = self._files.cat_file(path)
            tensors = safetensors.torch.load(content)
            # States of before they were verified have none.
            header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
            digest = header.get("__metadata__", {}).get("digest")
            if digest is not None and digest != _digest(tensors):
                raise ValueError("a digest that is not that of its numbers")
            version = tensors.pop("world_version").item()
            models.load(tensors)
        except (SafetensorError, RuntimeError, KeyError, ValueError, OSError) as error:
            raise SourceError(
                f"{path}: expected the production models' state of simulated day {day}, saw {error!r:.200}; "
                "delete the folder's files from this day on, and they are simulated again"
            ) from None
        if version != _WORLD_VERSION:
            raise SourceError(
                f"{path}: written by version {version} of the simulation, expected {_WORLD_VERSION}; delete the folder "
                f"{self._folder} and materialise the cascade's days again"
            )
        return models

    def _path(self, day: int) -> str:
        return f"{self._folder}/{day}.safetensors"


def _digest(tensors: Mapping[str, torch.Tensor]) -> str:
    """Of the tensors' names, types, shapes and numbers, whatever their order."""
    digest = hashlib.sha256()
    for name, tensor in sorted(tensors.items()):
        digest.update(f" {name} {tensor.dtype} {tuple(tensor.shape)} ".encode())
        digest.update(tensor.contiguous().numpy().tobytes())
    return digest.hexdigest()
