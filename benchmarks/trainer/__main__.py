"""Our trainer beside FuxiCTR's, DeepCTR-Torch's and FBGEMM's: rows per CPU second and log loss of the same DeepFM.

    python -m benchmarks.trainer [--threads 1] [--repeats 2] [--learning-rates 0.004 0.008]

200,000 rows of 26 ids and 13 numbers, embedding 16, layers 256-128-64, batch 4096, one epoch. The sides take turns; of
each are shown its fastest run and the best held-out log loss of the learning rates, ours and FBGEMM's falling linearly
to 0 and the others' constant. "Products alone" are the network's matrix products without all the rest, which bound any
trainer of it. The peers are installed into .venv-peers, an environment of the benchmark's own, by the first run (some
minutes, 2 GB).
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.trainer.peers.environment import PeersError, peers_interpreter
from benchmarks.trainer.peers.table import IDS, Vocabulary, make_table
from ukdsl_assets.settings import PROJECT

HERE = Path(__file__).parent
# Times the rows per CPU second of the better library of models, and of FBGEMM, whose tables TorchRec trains with.
ASKED = {"small": (3.0, 1.8), "large": (6.0, 2.2)}
# Times the matrix products alone, in CPU seconds.
MOST_OF_PRODUCTS = 1.4


def main() -> None:
    """Install the peers once, measure, and print a table for each vocabulary."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=2, help="runs of each side and learning rate")
    parser.add_argument("--learning-rates", type=float, nargs="+", default=[4e-3, 8e-3])
    chosen = parser.parse_args()
    try:
        sides = commands(str(peers_interpreter()))
    except PeersError as error:
        sys.exit(str(error))
    for vocabulary in IDS:
        with tempfile.TemporaryDirectory() as folder:
            make_table(Path(folder), vocabulary)
            runs = [
                run_once(command, Path(folder), chosen.threads, rate, seed)
                for seed in range(chosen.repeats)
                for rate in chosen.learning_rates
                for command in sides
            ]
        show(vocabulary, runs, chosen.threads)


def commands(peers: str) -> list[list[str]]:
    """How each side is run."""
    own = [
        [sys.executable, "-m", f"benchmarks.trainer.{side}", "--precision", precision]
        for side in ("ours", "products")
        for precision in ("float32", "bfloat16")
    ]
    return [*own, *([peers, str(HERE / "peers" / f"{name}_run.py")] for name in ("deepctr", "fuxictr", "fbgemm"))]


def run_once(command: list[str], table: Path, threads: int, rate: float, seed: int) -> dict[str, Any]:
    """One run in a process of its own."""
    options = {"table": table, "threads": threads, "learning-rate": rate, "seed": seed}
    arguments = [part for name, value in options.items() for part in (f"--{name}", str(value))]
    done = subprocess.run([*command, *arguments], capture_output=True, text=True, cwd=PROJECT)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} failed:\n{done.stderr[-2000:]}")
    return json.loads(done.stdout.strip().splitlines()[-1])


def show(vocabulary: Vocabulary, runs: list[dict[str, Any]], threads: int) -> None:
    """The best of each side, and ours over the better peer's."""
    rates: dict[str, float] = {}
    losses: dict[str, float] = {}
    walls: dict[str, float] = {}
    for run in runs:
        name = run["trainer"]
        rates[name] = max(rates.get(name, 0.0), run["rows"] / run["cpu"])
        walls[name] = max(walls.get(name, 0.0), run["rows"] / run["wall"])
        losses[name] = min(losses.get(name, 9.0), run["log_loss"])
    own, products, tables = (
        {name: rate for name, rate in rates.items() if name.startswith(side)} for side in ("ours", "products", "FBGEMM")
    )
    best = max(rate for name, rate in rates.items() if name not in own | products | tables)
    table = Table(title=f"{vocabulary} vocabulary ({IDS[vocabulary]:,} ids), {threads} thread(s)")
    for column in ("trainer", "rows per CPU second", "over the better peer", "rows per wall second", "log loss"):
        table.add_column(column, justify="left" if column == "trainer" else "right")
    for name, rate in rates.items():
        loss = "" if name.startswith("products") else f"{losses[name]:.4f}"
        table.add_row(name, f"{rate:,.0f}", f"{rate / best:.2f}x", f"{walls[name]:,.0f}", loss)
    console = Console(width=110)
    console.print(table)
    of_models, of_tables = ASKED[vocabulary]
    console.print(f"Asked of ours: {of_models:.0f}x, and a log loss no worse than any peer's.")
    for name, rate in own.items():
        of_products = products[name.replace("ours", "products alone")] / rate
        console.print(
            f"{name}: {rate / max(tables.values()):.2f}x FBGEMM's rows per CPU second (asked {of_tables}x), "
            f"{of_products:.2f}x the CPU seconds of its products alone (asked at most {MOST_OF_PRODUCTS}x)."
        )
    console.print()


if __name__ == "__main__":
    main()
