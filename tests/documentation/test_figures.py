"""Figures of studies in README and on the results page are those that the studies' page has, which no hand writes."""

import re
from typing import NamedTuple

import pytest

from documentation.reading import documents

FIGURE = re.compile(r"(?<![\w.])[-+]?(\d*\.\d+) \+- (\d*\.\d+)(%?)")
# Of runs that are an example and no study: a week of simulated_ads, and one student of each architecture.
EXAMPLES = ("All five architectures", "The last three days of a week")


class Figure(NamedTuple):
    """A mean with its error as written, without its sign: tables and sentences differ in that."""

    mean: str
    error: str
    unit: str

    def is_rounded(self, exact: "Figure") -> bool:
        """Whether both are one figure, or its distance from 1, as far as both are written."""
        if self.unit != exact.unit:
            return False
        means = (float(exact.mean), abs(1 - float(exact.mean)))
        near = any(abs(float(self.mean) - mean) <= half_digits(self.mean, exact.mean) for mean in means)
        return near and abs(float(self.error) - float(exact.error)) <= half_digits(self.error, exact.error)


def half_digits(*written: str) -> float:
    """How far two roundings of one number can be apart."""
    return sum(0.5 * 10.0 ** -len(each.partition(".")[2]) for each in written) + 1e-9


def figures(text: str) -> set[Figure]:
    return {Figure(*found) for found in FIGURE.findall(" ".join(text.split()))}


def of_studies(document: str) -> str:
    sections = re.split(r"^(?=## )", documents()[document], flags=re.M)
    return "".join(each for each in sections if not each.removeprefix("## ").startswith(EXAMPLES))


@pytest.mark.parametrize("document", ["README.md", "docs/results.md", "docs/index.md", "docs/science.md"])
def test_each_figure_with_an_error_is_in_the_evidence(document: str) -> None:
    measured = figures(documents()["docs/evidence.md"])
    mine = figures(of_studies(document))
    unknown = [" +- ".join(each) for each in mine if not any(each.is_rounded(exact) for exact in measured)]
    assert not unknown, f"{document}: no study says {', '.join(sorted(unknown))}; take the study's figure"


def test_there_are_figures_to_look_for() -> None:
    assert len(figures(of_studies("README.md"))) > 15
    assert len(figures(of_studies("docs/results.md"))) > 80
    [figure] = figures("it is -0.30 +-\n.10%")
    assert figure == ("0.30", ".10", "%")
    assert figure.is_rounded(Figure("0.3049", "0.0951", "%"))
    assert not figure.is_rounded(Figure("0.3151", "0.1", "%"))
    assert not figure.is_rounded(Figure("0.30", "0.12", "%"))
    assert not figure.is_rounded(Figure("0.30", ".10", ""))
    assert Figure(".011", ".008", "").is_rounded(Figure("1.011", ".008", ""))
