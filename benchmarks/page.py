"""How long a page view waits for the order of its modules: one page at a time, as it is asked for.

    python -m benchmarks.page [--pages 2000]

The click student of simulated_item_page is trained on a day of a simulated world, then scores page views one by one in
this process, on one thread but for polars: from a frame of twelve rows to their probabilities and the six modules to
show. Beside it, the same pages scored together, which is what a batch job pays for one.
"""

import argparse
import time

import numpy as np
from rich.console import Console
from rich.table import Table as Shown

from ukdsl_assets.declaration.read import SHIPPED, read_cascade
from ukdsl_assets.evidence.worlds.module_rankers import augmented, labelled_modules, students_of, trained_teacher
from ukdsl_assets.learning.students.fit import fit_student
from ukdsl_assets.learning.students.predict import predictor
from ukdsl_assets.learning.students.training import Training
from ukdsl_assets.logs.sources.simulated_item_page import view_features
from ukdsl_assets.simulation.item_page import ItemPageWorld, top

WORLD, TRAINED_ON, WARM_UP = 100, 4_000, 50


def main() -> None:
    """Train, then time every page on its own, and all together."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pages", type=int, default=2_000)
    chosen = parser.parse_args()
    import torch

    torch.set_num_threads(1)
    cascade, world = read_cascade(SHIPPED / "simulated_item_page.yaml"), ItemPageWorld(WORLD)
    candidates = labelled_modules(world.serve(0, TRAINED_ON, world.static_configuration), 0)
    rows = augmented(cascade, candidates, trained_teacher(cascade, [candidates.filter("shown")]))["click"]
    fitted = fit_student(Training.of(cascade, students_of(cascade, with_slot=True)["click"], "distilled", rows)).student
    predict, head = predictor(fitted), fitted.heads[-1]

    views = world.page_views(1, chosen.pages + WARM_UP)
    features, count = view_features(views, 1), views.modules.shape[1]
    milliseconds = []
    for page in range(len(views.number)):
        frame = features[page * count : (page + 1) * count]
        start = time.perf_counter()
        top(predict(frame)[head].reshape(1, count))
        milliseconds.append((time.perf_counter() - start) * 1e3)
    start = time.perf_counter()
    top(predict(features)[head].reshape(-1, count))
    together = (time.perf_counter() - start) * 1e3 / len(views.number)

    table = Shown(
        title=f"simulated_item_page, module_click, {count} modules a page, one thread but for polars, wall ms a page"
    )
    for column in ("", "median", "95%", "99%"):
        table.add_column(column, justify="right")
    table.add_row("one page at a time", *(f"{np.percentile(milliseconds[WARM_UP:], at):.2f}" for at in (50, 95, 99)))
    table.add_row(f"{len(views.number):,} pages together", f"{together:.3f}", "", "")
    Console(width=110).print(table)


if __name__ == "__main__":
    main()
