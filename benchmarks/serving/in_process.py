"""How long a page waits for its scores, in this process: an exported file beside today's Python and eager PyTorch.

    python -m benchmarks.serving.in_process [--calls 3000]

Two students, one thread, every call with ids of its own of which a tenth is unknown:

* module_click of simulated_item_page, which has few ids;
* one with vocabularies: two features of texts (50 and 100,000 ids), four of integers (200,000, 8, 20, 24), one number.

Their weights are drawn, which the time does not depend on. Measured are wall and CPU times of calls, one after another;
where a machine does other things too, the 99th percentile of wall times is that of waiting for a core, and that of CPU
times says what an idle one would show. Sides:

* file: `OnnxStudent.score` of columns, features of the request given once;
* file, repeated: the same, with the request's features in every row;
* file, from rows: the same from JSON's values, `columns_of` included;
* torch: the network alone, of ids that were looked up and numbers that were scaled before;
* frame: `LoadedStudent.score` of a polars frame, today's way, a tenth as often.
"""

import argparse
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from rich.console import Console
from rich.table import Table as Shown

from ukdsl_assets.declaration.architectures import MlpArchitecture, NeuralArchitecture
from ukdsl_assets.declaration.parts import Feature
from ukdsl_assets.declaration.read import SHIPPED, read_cascade
from ukdsl_assets.learning.features.encoding import EMBEDDING, Encoder
from ukdsl_assets.learning.networks.inputs import Inputs
from ukdsl_assets.learning.students.predict import load_model, new_network
from ukdsl_assets.learning.students.student import FittedStudent
from ukdsl_assets.logs.sources.simulated_item_page import view_features
from ukdsl_assets.serving.export.export import export_student
from ukdsl_assets.serving.export.samples import sample_rows
from ukdsl_assets.serving.onnx_file import OnnxStudent
from ukdsl_assets.serving.released import LoadedStudent
from ukdsl_assets.simulation.item_page import ItemPageWorld

# Rows of a page, and the most that its 99th percentile may take, in milliseconds.
BOUNDS = {12: 0.15, 200: 0.6}
WARM_UP = 100
HEADS = ("impression", "consideration")
WITH_VOCABULARIES = (
    Feature(name="city", kind="categorical", values="string", side="request"),
    Feature(name="device", kind="categorical", side="request"),
    Feature(name="hour", kind="categorical", side="request"),
    Feature(name="item", kind="categorical", side="candidate"),
    Feature(name="seller", kind="categorical", values="string", side="candidate"),
    Feature(name="kind", kind="categorical", side="candidate"),
    Feature(name="price", kind="numeric", side="candidate"),
)
IDS = {"city": 50, "device": 8, "hour": 24, "item": 200_000, "seller": 100_000, "kind": 20}


@dataclass(frozen=True)
class Timed:
    """Milliseconds of each call, wall and CPU time."""

    wall: Sequence[float]
    cpu: Sequence[float]

    def percentiles(self) -> list[str]:
        """The median and the 99th percentile of wall times, then of CPU times."""
        return [f"{np.percentile(times, at):.3f}" for times in (self.wall, self.cpu) for at in (50, 99)]


def main() -> None:
    """Time all sides and print a table a student."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--calls", type=int, default=3_000)
    chosen = parser.parse_args()
    import torch

    torch.set_num_threads(1)
    for name, fitted in (("module_click of simulated_item_page", item_page()), ("with vocabularies", vocabularies())):
        table = Shown(title=f"{name}: milliseconds a call, one thread, {chosen.calls:,} calls")
        for column in ("rows", "side", "wall 50%", "99%", "CPU 50%", "99%", "asked: 99%"):
            table.add_column(column, justify="left" if column == "side" else "right")
        for rows, bound in BOUNDS.items():
            for side, timed in sides(fitted, rows, chosen.calls).items():
                table.add_row(str(rows), side, *timed.percentiles(), f"{bound}" if side == "file" else "")
        Console(width=80).print(table)


def item_page() -> LoadedStudent:
    """The declared click student, which knows the ids of some pages."""
    cascade, world = read_cascade(SHIPPED / "simulated_item_page.yaml"), ItemPageWorld(100)
    student = cascade.student("module_click")
    frame = view_features(world.page_views(0, 2_000), 0).with_columns(slot=pl.lit(1, pl.Int64))
    assert student.architecture.is_network
    return drawn(Encoder(tuple(cascade.features_of(student))).extended(frame), student.architecture)


def vocabularies() -> LoadedStudent:
    """A student of 300,000 ids, with layers of 128 and 64."""
    most = max(IDS.values())
    columns: dict[str, Any] = {"price": np.random.default_rng(0).normal(size=most).astype(np.float32)}
    for feature in WITH_VOCABULARIES[:-1]:
        ids = pl.Series(np.arange(most) % IDS[feature.name])
        columns[feature.name] = ids.cast(pl.String) if feature.values == "string" else ids
    encoder = Encoder(WITH_VOCABULARIES).extended(pl.DataFrame(columns))
    return drawn(encoder, MlpArchitecture(kind="mlp", embedding=16, hidden=(128, 64)))


def drawn(encoder: Encoder, architecture: NeuralArchitecture) -> LoadedStudent:
    """A student of the architecture with drawn weights and two heads."""
    network = new_network(architecture, encoder, HEADS, 0.1, 0)
    tensors = {name: value.numpy() for name, value in network.state_dict().items()}
    table = np.random.default_rng(0).normal(0, 0.1, (encoder.size, architecture.embedding)).astype(np.float32)
    return LoadedStudent(
        tensors={**tensors, EMBEDDING: table},
        encoder=encoder,
        architecture=architecture,
        heads=HEADS,
        day=date(2026, 1, 1),
        version="0" * 16,
        arm="distilled",
    )


def sides(fitted: LoadedStudent, rows: int, calls: int) -> dict[str, Timed]:
    """Each side's times of calls with so many rows of one request."""
    with tempfile.TemporaryDirectory() as folder:
        of = {"cascade": "benchmark", "student": "drawn", "arm": "distilled", "day": "2026-01-01", "version": "0" * 16}
        export_student(fitted, Path(folder) / "student.onnx", of)
        file = OnnxStudent.load(Path(folder) / "student.onnx")
    # A tenth of the sample's ids are unknown. A page's rows have the request's features of its first.
    frame = sample_rows(fitted.encoder, rows * (calls + WARM_UP), seed=rows)
    of_request = [each.name for each in file.metadata.inputs if each.side == "request"]
    first = pl.int_range(pl.len()) // rows * rows
    frame = frame.with_columns(pl.col(of_request).gather(first))
    pages = [frame[start : start + rows] for start in range(0, len(frame), rows)]
    repeated = [file.columns_of_arrow(page.to_arrow()) for page in pages]
    once = [{name: column[:1] if name in of_request else column for name, column in page.items()} for page in repeated]
    values = [(page.drop(of_request).to_dicts(), page[:1].select(of_request).to_dicts()[0]) for page in pages]
    inputs, network = network_inputs(fitted, pages)
    timed = {
        "file": times(file.score, once),
        "file, repeated": times(file.score, repeated),
        "file, from rows": times(lambda page: file.score(file.columns_of(*page)), values),
        "torch": times(network, inputs),
    }
    few = pages[: WARM_UP + calls // 10]
    return {**timed, "frame": times(fitted.score, few)}


def network_inputs(fitted: FittedStudent, pages: Sequence[pl.DataFrame]) -> tuple[list[Any], Callable[[Any], Any]]:
    """What the network alone reads of each page, and the eager call of it."""
    import torch

    model, served = load_model(fitted), [each for each in fitted.encoder.features if each.served_as is not None]

    def encoded(page: pl.DataFrame) -> tuple[Any, ...]:
        whole = page.with_columns(*(pl.lit(each.served_as).alias(each.name) for each in served), request_id=0)
        rows = fitted.encoder.encode(whole)
        ids = (torch.from_numpy(each) for each in (rows.request.ids, rows.request.numbers))
        return (*ids, torch.from_numpy(rows.candidate.ids), torch.from_numpy(rows.candidate.numbers))

    def scored(page: tuple[Any, ...]) -> Any:
        with torch.inference_mode():
            sides = model.columns(page[0], page[1], None), model.columns(page[2], page[3], None)
            of_row = torch.zeros(len(page[2]), dtype=torch.int64)
            return torch.sigmoid(model.network(Inputs(*sides, of_row))).numpy()

    return [encoded(page) for page in pages], scored


def times(call: Callable[[Any], Any], pages: Sequence[Any]) -> Timed:
    """Milliseconds of a call with each page but those that warm up."""
    for page in pages[:WARM_UP]:
        call(page)
    wall, cpu = [], []
    for page in pages[WARM_UP:]:
        computed, start = time.process_time(), time.perf_counter()
        call(page)
        wall.append((time.perf_counter() - start) * 1e3)
        cpu.append((time.process_time() - computed) * 1e3)
    return Timed(wall, cpu)


if __name__ == "__main__":
    main()
