"""CPU microseconds that one page takes to build, by the rules that it keeps.

    python -m benchmarks.pages [--pages 1000] [--candidates 12] [--slots 6]

Candidates of random values, kinds and brands; of each page the fastest of three builds counts, which leaves out what
else the machine does. The last line is a yardstick: what adding up a thousand integers takes on the same machine.
"""

import argparse
import time
import timeit
from dataclasses import replace

import numpy as np

from ukdsl_assets.declaration.page import RandomOrderExploration, ThompsonExploration
from ukdsl_assets.pages.page import build_page
from ukdsl_assets.pages.rules import PageRules, discounts


def cases(slots: int) -> dict[str, PageRules]:
    """Rules by what they are called."""
    none = PageRules(slots, discounts(slots))
    capped = replace(none, caps=(("kind", max(2, slots // 3)),))
    both = replace(capped, sides=("kind",))
    return {
        "no rules": none,
        "at_most": capped,
        "at_most, a pin": replace(capped, pins=((0, "candidate", 3),)),
        "not_side_by_side": replace(none, sides=("kind",)),
        "at_most, not_side_by_side": both,
        "and at_least_different": replace(both, different=(("kind", min(4, slots)),)),
        "and random_order, .05": replace(both, exploration=RandomOrderExploration(kind="random_order", share=0.05)),
        "and thompson, .3": replace(both, exploration=ThompsonExploration(kind="thompson", scale=0.3)),
        "at_most of two features": replace(capped, caps=(*capped.caps, ("brand", max(2, slots // 3)))),
    }


def microseconds(rules: PageRules, pages: int, candidates: int) -> np.ndarray:
    """float64 [pages], of worlds that are the same for all rules."""
    generator = np.random.default_rng(0)
    taken = []
    for page in range(pages):
        features = {name: generator.integers(0, 6, candidates) for name in ("kind", "brand")}
        features["candidate"] = np.arange(candidates)
        value = np.exp(generator.normal(-3, 0.8, candidates))
        times = []
        for _ in range(3):
            started = time.perf_counter_ns()
            build_page(rules, value, features, page)
            times.append(time.perf_counter_ns() - started)
        taken.append(min(times) / 1e3)
    return np.array(taken)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pages", type=int, default=1_000)
    parser.add_argument("--candidates", type=int, default=12)
    parser.add_argument("--slots", type=int, default=6)
    given = parser.parse_args()
    print(f"{'microseconds a page':30}{'p50':>8}{'p99':>8}")
    for name, rules in cases(given.slots).items():
        taken = microseconds(rules, given.pages, given.candidates)
        print(f"{name:30}{np.median(taken):8.0f}{np.quantile(taken, 0.99):8.0f}")
    yardstick = min(timeit.repeat("sum(range(1000))", number=100, repeat=20)) / 100 * 1e6
    print(f"{'(sum of 1,000 integers)':30}{yardstick:8.0f}")


if __name__ == "__main__":
    main()
