"""Trained models by day: weights as safetensors or LightGBM text, facts about them as JSON; nothing is ever unpickled.

<root>/<key...>/checkpoints/day=YYYY-MM-DD/<version>/  weights.safetensors or model.txt, then checkpoint.json;
    before it arrays.safetensors, where the facts have columns
<root>/<key...>/checkpoints/day=YYYY-MM-DD/current.json  names the published version of the day
<root>/<key...>/released.json and releases/               see `releases`
"""

import datetime as dt
import hashlib
import json
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ukdsl_assets.errors import LakeError
from ukdsl_assets.lake.checkpoints.arrays import put_back, taken_out
from ukdsl_assets.lake.checkpoints.releases import Key, ReleaseStore
from ukdsl_assets.lake.storage import checked_key, folder_of, to_json

WEIGHTS = "weights.safetensors"
TEXT = "model.txt"
ARRAYS = "arrays.safetensors"
FACTS = "checkpoint.json"
CURRENT = "current.json"

_VERSION = re.compile(r"\b[0-9a-f]{16}\b")
_VERSION_FOLDER = re.compile(r"/checkpoints/day=[^/]+/[0-9a-f]{16}$")


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """A saved model.

    Attributes:
        key: of the model, such as ("simulated_ads", "pre_ranking_click", "distilled").
        day: the partition it belongs to.
        version: hash of the content (model and metadata), 16 hexadecimal digits.
        metadata: as read back from JSON (tuples are lists, keys are str), with its polars columns.
        tensors: name -> array, or None.
        text: a LightGBM model, or None.
    """

    key: Key
    day: dt.date
    version: str
    metadata: dict[str, Any]
    tensors: dict[str, np.ndarray] | None = None
    text: str | None = None


@dataclass(frozen=True)
class CheckpointStore(ReleaseStore):
    """Checkpoints and releases below `root`, a local path or fsspec URI; keep it apart from the tables' root."""

    def save(
        self,
        key: Key,
        day: dt.date,
        metadata: Mapping[str, Any],
        tensors: Mapping[str, np.ndarray] | None = None,
        text: str | None = None,
    ) -> Checkpoint:
        """Writes a checkpoint that nobody finds by day until `publish`; the same content again is the same version.

        Publish it before `sweep` takes it for abandoned; saving it again makes it young again.

        Args:
            key: of the model.
            day: the partition.
            metadata: JSON values, no NaN or infinity, and polars Series of integers or strings, which are kept as
                arrays.
            tensors: name -> array of any shape, dtypes of safetensors; or
            text: LightGBM's text; neither for a model that is only its metadata.

        Raises:
            LakeError: metadata that JSON cannot hold, or both tensors and text.
        """
        if tensors is not None and text is not None:
            raise LakeError(f"{self._name(key, day)}: both tensors and text were given, expected one. Save two keys.")
        values, arrays = taken_out(metadata)
        columns = {ARRAYS: _to_safetensors(arrays)} if arrays else {}
        files = {**_model_file(tensors, text), **columns, FACTS: to_json(values, self._name(key, day))}
        version = _version_of(files)
        for name, content in files.items():  # the facts come last: a checkpoint with facts is whole
            path = self._day_path(key, day, version, name)
            # The facts are written in any case: their age is the version's, and `sweep` must spare what was just saved.
            if name == FACTS or self._storage.read(path) != content:
                self._storage.write(path, content)
        return self.load(key, day, version)

    def publish(self, checkpoint: Checkpoint) -> None:
        """Makes a saved checkpoint the one of its day, in one step; publishing it again changes nothing."""
        self._storage.write(
            self._day_path(checkpoint.key, checkpoint.day, CURRENT),
            json.dumps({"version": checkpoint.version}).encode(),
        )

    def load(self, key: Key, day: dt.date, version: str | None = None) -> Checkpoint:
        """The checkpoint that is published for the day, or a saved version of it, with its content verified.

        Raises:
            LakeError: none is published, there is no such version, or a file is not what was saved.
        """
        if version is None:
            pointer = self._read_json(self._day_path(key, day, CURRENT))
            if pointer is None:
                raise LakeError(
                    f"{self._name(key, day)}: no checkpoint is published below {self.root}. "
                    f"Make it first: ukdsl run {key[0]} --days {day}"
                )
            version = str(pointer["version"])
        names = (WEIGHTS, TEXT, ARRAYS, FACTS)
        read = {name: self._storage.read(self._day_path(key, day, version, name)) for name in names}
        files = {name: content for name, content in read.items() if content is not None}
        if not files:
            raise LakeError(
                f"{self._name(key, day)}: there is no version {version} below {self.root}. Leave the version out to "
                "load the published one."
            )
        if (actual := _version_of(files)) != version:
            raise LakeError(
                f"{self._name(key, day)}: the files {sorted(files)} hash to {actual}, expected {version}: they are not "
                f"what was saved. Remove {self._day_path(key, day, version)} and materialize the day again."
            )
        return Checkpoint(
            checked_key(key),
            day,
            version,
            put_back(json.loads(files[FACTS]), _tensors_of(files[ARRAYS]) if ARRAYS in files else {}),
            _tensors_of(files[WEIGHTS]) if WEIGHTS in files else None,
            files[TEXT].decode() if TEXT in files else None,
        )

    def load_newest(self, key: Key, before: dt.date) -> Checkpoint | None:
        """The checkpoint that is published for the newest day strictly before one; None when there is none."""
        day = self.newest_before(key, before)
        return None if day is None else self.load(key, day)

    def load_released(self, key: Key, before: dt.date | None = None) -> Checkpoint | None:
        """What is released of a model, or what the newest release strictly before a day was; None without such.

        Args:
            key: of the model, to which a release's entry adds the arm.
            before: with it a rerun of a day finds the release that its first run found, whatever came later.

        Raises:
            LakeError: the checkpoint that the release names is gone, or is not what was saved.
        """
        entry = self.released(key) if before is None else self._newest_release(key, before)
        if entry is None:
            return None
        return self.load((*key, entry["arm"]), dt.date.fromisoformat(entry["day"]), entry["checkpoint"])

    def facts(self, key: Key, day: dt.date) -> dict[str, Any]:
        """What the published checkpoint's JSON says, without its model and columns; not verified, {} if none is."""
        pointer = self._read_json(self._day_path(key, day, CURRENT))
        facts = None if pointer is None else self._read_json(self._day_path(key, day, str(pointer["version"]), FACTS))
        return facts or {}

    def days(self, key: Key) -> list[dt.date]:
        """The days with a published checkpoint, in order; empty when there are none."""
        pattern = self._storage.path(*checked_key(key), "checkpoints", "day=*", CURRENT)
        return sorted(
            dt.date.fromisoformat(path.split("/")[-2].removeprefix("day=")) for path in self._storage.glob(pattern)
        )

    def newest_before(self, key: Key, day: dt.date) -> dt.date | None:
        """The latest published day strictly before `day`, None when there is none."""
        return max((published for published in self.days(key) if published < day), default=None)

    def sweep(self, older_than_hours: int = 24) -> dict[str, int]:
        """Removes versions that nobody finds by day and no record of a release or refusal names, of all keys.

        A version is as old as the last `save` of it. Those saved within `older_than_hours` stay: their run may yet
        publish them.

        Returns:
            Key, joined by "/" -> how many versions were removed; keys without any are left out.
        """
        saved_before = dt.datetime.now(dt.UTC) - dt.timedelta(hours=older_than_hours)
        versions: dict[str, list[str]] = {}  # folder of a version -> its files
        others: list[str] = []  # pointers and history
        for path in self._storage.find():
            folder = path.rpartition("/")[0]
            if _VERSION_FOLDER.search(folder):
                versions.setdefault(folder, []).append(path)
            elif path.endswith(".json"):  # not one that is being written
                others.append(path)
        in_use = {name for content in self._storage.read_all(others) for name in _VERSION.findall(content.decode())}
        removed: Counter[str] = Counter()
        for folder, files in versions.items():
            if folder.rpartition("/")[2] in in_use or max(map(self._storage.modified, files)) >= saved_before:
                continue
            self._storage.fs.rm(folder, recursive=True)
            removed[_VERSION_FOLDER.sub("", folder).removeprefix(self._storage.path()).strip("/")] += 1
        return dict(sorted(removed.items()))

    def _day_path(self, key: Key, day: dt.date, *parts: str) -> str:
        return self._storage.path(*checked_key(key), "checkpoints", folder_of(day), *parts)

    def _name(self, key: Key, day: dt.date) -> str:
        return f"checkpoint {'/'.join(checked_key(key))}, day {day}"

    def _read_json(self, path: str) -> dict[str, Any] | None:
        content = self._storage.read(path)
        return None if content is None else json.loads(content)


def _model_file(tensors: Mapping[str, np.ndarray] | None, text: str | None) -> dict[str, bytes]:
    if tensors is not None:
        return {WEIGHTS: _to_safetensors(tensors)}
    return {} if text is None else {TEXT: text.encode()}


def _to_safetensors(arrays: Mapping[str, np.ndarray]) -> bytes:
    from safetensors.numpy import save

    return save({name: np.asarray(array, order="C") for name, array in arrays.items()})


def _tensors_of(content: bytes) -> dict[str, np.ndarray]:
    from safetensors.numpy import load

    return dict(load(content))


def _version_of(files: Mapping[str, bytes]) -> str:
    """Hash of names, lengths and contents, whatever the order of the mapping."""
    digest = hashlib.sha256()
    for name, content in sorted(files.items()):
        digest.update(f"{name} {len(content)} ".encode())
        digest.update(content)
    return digest.hexdigest()[:16]
