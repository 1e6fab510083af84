"""What is released takes the place of what answers: under load, withdrawn, refused, and exported first."""

import json
import shutil
import threading
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from tests.fixtures.http_server import Served, serving, until
from tests.fixtures.released import release, store_of
from tests.fixtures.served_pages import FIRST, NAME, SECOND, STUDENTS, checkpoint_of, export_of, page_bodies, rows_of
from ukdsl_assets.serving.onnx_file import OnnxStudent

CLICK = (NAME, "module_click")
ROWS = rows_of(page_bodies(1)[0])


def version(lake: Path, day: object, student: str = "module_click") -> str:
    return checkpoint_of(lake, student, day).version  # type: ignore[arg-type]


def answers(served: Served, wanted: str) -> bool:
    """Whether requests are answered by this version."""
    return bool(served.post("/score/" + "/".join(CLICK), {"rows": ROWS}).json["version"] == wanted)


def test_a_swap_under_load_drops_no_request_and_mixes_no_reply(lake: Path) -> None:
    files = {version(lake, day): export_of(lake, checkpoint_of(lake, "module_click", day)) for day in (FIRST, SECOND)}
    expected = {}
    for name, file in files.items():
        student = OnnxStudent.load(file)
        expected[name] = student.score(student.columns_of(ROWS)).heads["consideration"]
    one, other = expected.values()
    assert not np.allclose(one, other, rtol=1e-4)
    seen: Counter[str] = Counter()
    with serving(lake) as served:
        asking = threading.Event()
        asking.set()
        wrong: list[object] = []

        def keep_asking() -> None:
            while asking.is_set():
                reply = served.post("/score/" + "/".join(CLICK), {"rows": ROWS})
                answered = reply.json.get("version")
                if reply.status != 200 or not np.allclose(
                    reply.json["heads"]["consideration"], expected[answered], rtol=1e-5
                ):
                    wrong.append(reply.json)
                seen[answered] += 1

        threads = [threading.Thread(target=keep_asking) for _ in range(3)]
        for thread in threads:
            thread.start()
        for day in (SECOND, FIRST, SECOND):
            entry = {"day": str(day), "arm": "distilled", "checkpoint": version(lake, day)}
            if day == FIRST:
                store_of(lake).withdraw(CLICK, entry | {"day": str(SECOND), "checkpoint": version(lake, SECOND)})
            else:
                store_of(lake).release(CLICK, entry)
            until(lambda day=day: answers(served, version(lake, day)))
        asking.clear()
        for thread in threads:
            thread.join()
    assert not wrong
    assert seen.keys() == expected.keys()
    assert served.service.models.swaps == 2 + 3


def test_where_nothing_is_released_any_more_pages_are_in_the_static_order(lake: Path) -> None:
    with serving(lake) as served:
        entry = {"day": str(FIRST), "arm": "distilled", "checkpoint": version(lake, FIRST)}
        store_of(lake).withdraw(CLICK, entry)
        until(lambda: served.get("/ready").status == 503)

        assert served.rank(page_bodies(1)[0]).json["why"] == "no model"


@pytest.mark.parametrize("fault", ["cut", "of another version", "no file"])
def test_a_file_that_will_not_do_keeps_what_answers(lake: Path, fault: str) -> None:
    first, second = version(lake, FIRST), version(lake, SECOND)
    file = export_of(lake, checkpoint_of(lake, "module_click", SECOND))
    if fault == "cut":
        file.write_bytes(file.read_bytes()[:5000])
    elif fault == "of another version":
        shutil.copy(file.with_name(f"{first}.onnx"), file)
    else:
        # It cannot be made either: the checkpoint is gone.
        file.unlink()
        shutil.rmtree(next((lake / "checkpoints").glob(f"**/{second}")))
    with serving(lake) as served:
        store_of(lake).release(CLICK, {"day": str(SECOND), "arm": "distilled", "checkpoint": second})
        until(lambda: served.service.models.standing[CLICK].state == "refused", 120)

        assert answers(served, first)
        ready = served.get("/ready")
        assert ready.status == 200
        told = ready.json["students"]["/".join(CLICK)]
        assert (told["state"], told["version"], told["released"]) == ("refused", first, second)
        assert told["why"]
        metrics = served.get("/metrics").content.decode()
        assert 'ukdsl_model_behind{cascade="simulated_item_page",student="module_click"} 1.0' in metrics


def test_a_damaged_pointer_is_told_and_what_answers_goes_on(lake: Path) -> None:
    with serving(lake) as served:
        pointer = lake / "checkpoints" / NAME / "module_click" / "released.json"
        whole = pointer.read_bytes()
        pointer.write_bytes(whole[:10])
        until(lambda: served.service.models.standing[CLICK].state == "refused")
        assert "released.json" in served.service.models.standing[CLICK].why
        assert answers(served, version(lake, FIRST))

        pointer.write_bytes(whole)
        until(lambda: served.service.models.standing[CLICK].state == "loaded")


def test_a_page_keeps_the_models_that_it_began_with(lake: Path) -> None:
    with serving(lake) as served:
        before = served.service.models.current
        served.service.models.swap(CLICK, None)

        assert CLICK in before
        assert CLICK not in served.service.models.current


@pytest.mark.slow
def test_a_release_without_a_file_is_exported_by_a_process_of_its_own(lake: Path) -> None:
    file = export_of(lake, checkpoint_of(lake, "module_click", SECOND))
    file.unlink()
    asked = Counter[str]()
    with serving(lake) as served:
        release(lake, checkpoint_of(lake, "module_click", SECOND))
        while not answers(served, version(lake, SECOND)):
            # Meanwhile the model of before answers.
            asked[served.service.models.standing[CLICK].state] += 1
    assert asked["loading"] > 0
    assert OnnxStudent.load(file).metadata.version == version(lake, SECOND)


def test_readiness_waits_for_every_student(lake: Path) -> None:
    pointer = lake / "checkpoints" / NAME / "module_purchase" / "released.json"
    kept = pointer.read_bytes()
    pointer.unlink()
    with serving(lake, loaded=False) as served:
        until(lambda: CLICK in served.service.models.current)
        assert served.get("/ready").status == 503
        pointer.write_bytes(kept)
        until(lambda: served.get("/ready").status == 200)
    assert json.loads(kept)["day"] == str(FIRST)
    assert set(STUDENTS) == {"module_click", "module_purchase"}
