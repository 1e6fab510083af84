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
from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np

from ukdsl_assets.errors import LakeError
from ukdsl_assets.lake.checkpoints.arrays import put_back, taken_out
from ukdsl_assets.lake.checkpoints.releases import HISTORY, POINTER, Key, ReleaseStore, verified_record
from ukdsl_assets.lake.storage import checked_key, folder_of, parsed, to_json

WEIGHTS = "weights.safetensors"
TEXT = "model.txt"
ARRAYS = "arrays.safetensors"
FACTS = "checkpoint.json"
CURRENT = "current.json"

# Versions saved within these hours stay in any sweep: a run takes less from saving to publishing.
SPARED_HOURS = 1

_SWEEP = "a sweep of the checkpoints"

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

        Publish it within the hour, before a `sweep` can take it for abandoned; saving it again makes it young again.

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
        """Makes a saved checkpoint the one of its day, in one step; publishing it again changes nothing.

        Raises:
            LakeError: it is no longer there; what was published stays.
        """
        facts = self._day_path(checkpoint.key, checkpoint.day, checkpoint.version, FACTS)
        if self._storage.size(facts) is None:
            raise LakeError(
                f"{self._name(checkpoint.key, checkpoint.day)}: {facts} is gone, saved and then removed by a sweep or "
                "by hand. Nothing was published; save it again."
            )
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
            version = self._published(key, day)
            if version is None:
                raise LakeError(
                    f"{self._name(key, day)}: no checkpoint is published below {self.root}. "
                    f"Make it first: ukdsl run {key[0]} --days {day}"
                )
            files = self._files(key, day, version, f"Make the day again: ukdsl run {key[0]} --days {day}")
        else:
            fix = f"Leave the version out to load the day's published one, or make it: ukdsl run {key[0]} --days {day}"
            files = self._files(key, day, version, fix)
        return Checkpoint(
            checked_key(key),
            day,
            version,
            put_back(json.loads(files[FACTS]), _tensors_of(files[ARRAYS]) if ARRAYS in files else {}),
            _tensors_of(files[WEIGHTS]) if WEIGHTS in files else None,
            files[TEXT].decode() if TEXT in files else None,
        )

    def _published(self, key: Key, day: dt.date) -> str | None:
        """The version that the day's pointer names; None without a pointer."""
        path = self._day_path(key, day, CURRENT)
        content = self._storage.read(path)
        return None if content is None else _version_in(content, self._name(key, day), path)

    def _files(self, key: Key, day: dt.date, version: str, fix: str) -> dict[str, bytes]:
        """Contents of a version's files by name, verified; `fix` says what to do where there is no such version."""
        names = (WEIGHTS, TEXT, ARRAYS, FACTS)
        read = {name: self._storage.read(self._day_path(key, day, version, name)) for name in names}
        files = {name: content for name, content in read.items() if content is not None}
        if not files:
            raise LakeError(f"{self._name(key, day)}: there is no version {version} below {self.root}. {fix}")
        if (actual := _version_of(files)) != version or FACTS not in files:
            raise LakeError(
                f"{self._name(key, day)}: the files {sorted(files)} hash to {actual}, expected {version}: they are not "
                f"what was saved. Remove {self._day_path(key, day, version)} and make the day again: "
                f"ukdsl run {key[0]} --days {day}"
            )
        return files

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
            LakeError: the checkpoint that the release names is gone, or is not what was saved, or what names it is
                damaged.
        """
        entry = self.released(key) if before is None else self.newest_release(key, before)
        if entry is None:
            return None
        wanted = [entry.get(name) for name in ("arm", "day", "checkpoint")]
        if not all(isinstance(each, str) for each in wanted):
            raise LakeError(
                f"release of {'/'.join(key)}: the entry {entry} names no checkpoint, expected an arm, a day and a "
                f"checkpoint. Release again: ukdsl run {key[0]} with --days the last day."
            )
        arm, day, version = map(str, wanted)
        try:
            return self.load((*key, arm), dt.date.fromisoformat(day), version)
        except (LakeError, ValueError) as error:
            raise LakeError(
                f"release of {'/'.join(key)}: it names version {version} of {arm}, day {day}, which cannot be loaded: "
                f"{error}. Release again: ukdsl run {key[0]} with --days the last day."
            ) from error

    def facts(self, key: Key, day: dt.date) -> dict[str, Any]:
        """What the published checkpoint's JSON says, without its model and columns; {} if none is published.

        Raises:
            LakeError: as `load`.
        """
        version = self._published(key, day)
        if version is None:
            return {}
        fix = f"Make the day again: ukdsl run {key[0]} --days {day}"
        return dict(json.loads(self._files(key, day, version, fix)[FACTS]))

    def days(self, key: Key) -> list[dt.date]:
        """The days with a published checkpoint, in order; empty when there are none.

        Raises:
            LakeError: a folder beside those of the days is called like one and is none.
        """
        pattern = self._storage.path(*checked_key(key), "checkpoints", "day=*", CURRENT)
        return sorted(_day_of(path.rpartition("/")[0], "/".join(key)) for path in self._storage.glob(pattern))

    def newest_before(self, key: Key, day: dt.date) -> dt.date | None:
        """The latest published day strictly before `day`, None when there is none."""
        return max((published for published in self.days(key) if published < day), default=None)

    def sweep(self, older_than_hours: int = 24) -> dict[str, int]:
        """Removes versions that nobody finds by day and no record of a decision names, of all keys.

        A version is as old as the last `save` of it. Those saved within `older_than_hours`, and within an hour whatever
        was asked, stay: their run may yet publish them. States of trainings go that were last kept before that.

        Returns:
            Key, joined by "/" -> how many versions were removed; keys without any are left out.

        Raises:
            LakeError: a pointer or record is damaged, or a pointer names what is not there. Nothing is removed.
        """
        hours = max(older_than_hours, SPARED_HOURS)
        versions: dict[str, list[str]] = {}  # folder of a version -> its files
        pointers: list[str] = []
        records: list[str] = []
        states: list[str] = []
        for path in self._storage.find():
            folder, name = path.rpartition("/")[::2]
            if _VERSION_FOLDER.search(folder):
                versions.setdefault(folder, []).append(path)
            elif name == CURRENT:
                pointers.append(path)
            elif not name.startswith("."):  # one that is being written
                (records if name.endswith(".json") else states).append(path)
        in_use = {
            *self._named_by_pointers(pointers, versions.keys()),
            *(version for content in self._read_decisions(records) for version in _VERSION.findall(content)),
        }
        removed: Counter[str] = Counter()
        for folder, files in versions.items():
            if folder.rpartition("/")[2] in in_use or not all(self._storage.older(file, hours) for file in files):
                continue
            with suppress(FileNotFoundError):  # another sweep was faster
                self._storage.fs.rm(folder, recursive=True)
            removed[_VERSION_FOLDER.sub("", folder).removeprefix(self._storage.path()).strip("/")] += 1
        for path in states:
            if path.rpartition("/")[0].endswith("/training") and self._storage.older(path, hours):
                self._storage.remove(path)
        return dict(sorted(removed.items()))

    def _named_by_pointers(self, pointers: list[str], folders: Collection[str]) -> Iterator[str]:
        for path, content in zip(pointers, self._storage.read_all(pointers), strict=True):
            version = _version_in(content, _SWEEP, path)
            folder = f"{path.rpartition('/')[0]}/{version}"
            if folder not in folders and self._storage.size(f"{folder}/{FACTS}") is None:  # it may be new
                raise LakeError(
                    f"{_SWEEP}: {path} names version {version}, which is not beside it. Nothing was "
                    "removed. Put back what is missing, or make the day again with ukdsl run, or remove the pointer."
                )
            yield version

    def _read_decisions(self, paths: list[str]) -> list[str]:
        """The released entries and the records of decisions as JSON text, none of them damaged."""
        fix = "Nothing was removed. Put it back as it was, or remove it: what it names may then be removed."
        said = []
        for path, content in zip(paths, self._storage.read_all(paths), strict=True):
            # A student may be called as the folder of the records is; the pointer below its name is none.
            recorded = f"/{HISTORY}/" in path and not path.endswith(f"/{POINTER}")
            said.append(json.dumps((verified_record if recorded else parsed)(content, _SWEEP, path, fix)))
        return said

    def _day_path(self, key: Key, day: dt.date, *parts: str) -> str:
        return self._storage.path(*checked_key(key), "checkpoints", folder_of(day), *parts)

    def _name(self, key: Key, day: dt.date) -> str:
        return f"checkpoint {'/'.join(checked_key(key))}, day {day}"


def _model_file(tensors: Mapping[str, np.ndarray] | None, text: str | None) -> dict[str, bytes]:
    if tensors is not None:
        return {WEIGHTS: _to_safetensors(tensors)}
    return {} if text is None else {TEXT: text.encode()}


def _to_safetensors(arrays: Mapping[str, np.ndarray]) -> bytes:
    from safetensors.numpy import save

    return save({name: np.asarray(array, order="C") for name, array in arrays.items()})


def _tensors_of(content: bytes) -> dict[str, np.ndarray]:
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        return dict(load(content))
    except SafetensorError as error:
        raise LakeError(
            f"a checkpoint's file of {len(content)} bytes is what was saved, but no safetensors ({error}): it was not "
            "written by this package. Remove its version and make the day again with ukdsl run."
        ) from error


def _version_in(content: bytes, where: str, path: str) -> str:
    """The version that a day's pointer names.

    Raises:
        LakeError: the pointer is damaged.
    """
    fix = "Put it back as it was, or make the day again with ukdsl run."
    version = parsed(content, where, path, fix).get("version")
    if not isinstance(version, str) or not _VERSION.fullmatch(version):
        raise LakeError(f"{where}: {path} is damaged: it names version {version!r:.40}, expected 16 digits. {fix}")
    return version


def _day_of(folder: str, name: str) -> dt.date:
    """The day that a folder day=YYYY-MM-DD is of."""
    text = folder.rpartition("/day=")[2]
    try:
        day = dt.date.fromisoformat(text)
    except ValueError:
        day = None
    if day is None or day.isoformat() != text:
        raise LakeError(
            f"checkpoints of {name}: the folder {folder} is of no day, expected day=YYYY-MM-DD. Move it elsewhere."
        )
    return day


def _version_of(files: Mapping[str, bytes]) -> str:
    """Hash of names, lengths and contents, whatever the order of the mapping."""
    digest = hashlib.sha256()
    for name, content in sorted(files.items()):
        digest.update(f"{name} {len(content)} ".encode())
        digest.update(content)
    return digest.hexdigest()[:16]
