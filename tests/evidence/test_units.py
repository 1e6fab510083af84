"""Units are measured once, in processes, stored as they end, and taken again for the same settings only."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from tests.fixtures.coin_study import STUDY, measure
from ukdsl_assets.errors import EvidenceError
from ukdsl_assets.evidence.units import measured_units, settings_of, unit_fingerprint


def test_a_unit_that_is_done_is_not_redone_and_equals_a_direct_call(tmp_path: Path) -> None:
    scratch, told = tmp_path / "scratch", []
    two = [settings_of(STUDY, seed, {}) for seed in (1, 2)]
    first = measured_units(STUDY, two, str(tmp_path), scratch, 2, lambda *state: told.append(state))
    assert told[0][:2] == (0, 2)
    assert told[-1][:2] == (2, 2)
    assert [unit.rows for unit in first] == [measure(each, scratch, lambda *_: None) for each in two]
    for path in scratch.iterdir():
        path.unlink()
    three = [settings_of(STUDY, seed, {}) for seed in (1, 2, 3)]
    again = measured_units(STUDY, three, str(tmp_path), scratch, 1, lambda *_: None)
    assert again[:2] == first
    assert [path.name.split("-")[1] for path in scratch.iterdir()] == ["3"]


def test_a_result_is_taken_again_for_the_same_settings_and_version_only() -> None:
    settings = settings_of(STUDY, 1, {})
    others = [
        unit_fingerprint(STUDY, settings_of(STUDY, 2, {})),
        unit_fingerprint(STUDY, settings_of(STUDY, 1, {"draws": 401})),
        unit_fingerprint(replace(STUDY, version=2), settings),
    ]
    assert unit_fingerprint(STUDY, dict(reversed(settings.items()))) == unit_fingerprint(STUDY, settings)
    assert len({unit_fingerprint(STUDY, settings), *others}) == 4


def test_a_failed_unit_names_its_seed_and_leaves_the_others_stored(tmp_path: Path) -> None:
    good, bad = settings_of(STUDY, 1, {}), settings_of(STUDY, 2, {"chance": 2})
    with pytest.raises(EvidenceError, match=r"coin, seed 2: ValueError: a chance of 2.0; .* goes on from there"):
        measured_units(STUDY, [good, bad], str(tmp_path), tmp_path, 1, lambda *_: None)
    (stored,) = (tmp_path / "coin").glob("*.json")
    assert json.loads(stored.read_text())["settings"] == good


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"drawn": 1}, "no setting `drawn`; expected one of draws, chance"),
        ({"draws": "many"}, r"setting `draws`: saw 'many' \(str\), expected type int"),
        ({"draws": 1.5}, r"saw 1.5 \(float\), expected type int"),
    ],
)
def test_wrong_settings_are_refused(given: dict[str, object], message: str) -> None:
    with pytest.raises(EvidenceError, match=message):
        settings_of(STUDY, 1, given)


def test_a_whole_number_does_for_a_fraction() -> None:
    assert settings_of(STUDY, 1, {"chance": 1}) == {"draws": 400, "chance": 1.0, "seed": 1}
