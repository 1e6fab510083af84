"""Pages of many requests with as many candidates each: what simulations and evaluations need, row for row as one."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ukdsl_assets.declaration.page import RandomOrderExploration
from ukdsl_assets.errors import PageError
from ukdsl_assets.pages.drawn import uniforms
from ukdsl_assets.pages.page import Page, build_page
from ukdsl_assets.pages.rules import PageRules


@dataclass(frozen=True, eq=False)
class Pages:
    """Pages of requests.

    Attributes:
        order: int64 [requests, slots], places of candidates by slot; -1 where too few are eligible.
        explored: bool [requests], as in `Page`.
        relaxed: request -> what gave way; those that kept all rules are left out.
        built: request -> its page, of those that were built one by one: all that explored are among them.
    """

    order: NDArray[np.int64]
    explored: NDArray[np.bool_]
    relaxed: dict[int, tuple[str, ...]]
    built: dict[int, Page]

    def propensity(self, candidates: int) -> NDArray[np.float64]:
        """float64 [requests, candidates], of `Page.propensity`: NaN for requests that did not explore."""
        result = np.full((len(self.order), candidates), np.nan)
        for request in np.flatnonzero(self.explored).tolist():
            result[request] = self.built[request].propensity
        return result


def build_pages(
    rules: PageRules,
    value: NDArray[np.float64],
    features: Mapping[str, NDArray[np.generic]],
    request_ids: Sequence[int | str] | NDArray[np.int64],
    seed: int = 0,
) -> Pages:
    """The same pages as `build_page` makes of each request; those that the best values alone make are found at once.

    Args:
        value: float64 [requests, candidates], finite.
        features: arrays [requests, candidates] of what rules read.
        request_ids: [requests].

    Raises:
        PageError: as `build_page`, or arrays of other shapes.
    """
    for name in rules.features:
        if name in features and features[name].shape != value.shape:
            raise PageError(f"features: `{name}` is of shape {features[name].shape}, and values are of {value.shape}")
    explores = _explores(rules, request_ids, seed)
    best = replace(rules, exploration=None)
    slots = rules.slots
    order = np.argsort(-value, axis=1, kind="stable")[:, :slots]
    alone = _keeps_rules(rules, order, features, value) & ~explores
    result = np.full((len(value), slots), -1, np.int64)
    result[alone, : order.shape[1]] = order[alone]
    relaxed, built = {}, {}
    explored = np.zeros(len(value), bool)
    for request in np.flatnonzero(~alone).tolist():
        of_request = {name: features[name][request] for name in rules.features if name in features}
        chosen = rules if explores[request] else best
        page = build_page(chosen, value[request], of_request, request_ids[request], seed)
        result[request, : len(page.order)] = page.order
        built[request], explored[request] = page, page.explored
        if page.relaxed:
            relaxed[request] = page.relaxed
    return Pages(result, explored, relaxed, built)


def _explores(rules: PageRules, request_ids: Sequence[int | str] | NDArray[np.int64], seed: int) -> NDArray[np.bool_]:
    """[requests]: whether a page is not simply the best one."""
    if rules.exploration is None:
        return np.zeros(len(request_ids), bool)
    if not isinstance(rules.exploration, RandomOrderExploration):
        return np.ones(len(request_ids), bool)
    share = rules.exploration.share
    return np.array([uniforms(seed, "explores", each, 1)[0] < share for each in request_ids], bool)


def _keeps_rules(
    rules: PageRules,
    order: NDArray[np.int64],
    features: Mapping[str, NDArray[np.generic]],
    value: NDArray[np.float64],
) -> NDArray[np.bool_]:
    """[requests]: whether the best candidates by value alone keep the rules; False where that is for `build_page`."""
    fits = np.isfinite(value).all(axis=1)
    missing = [name for name in rules.features if name not in features]
    if missing or rules.ranges or rules.one_of or order.shape[1] < rules.slots:
        return np.zeros(len(value), bool)
    shown = {name: np.take_along_axis(features[name], order, axis=1) for name in rules.features}
    for slot, name, wanted in rules.pins:
        fits &= shown[name][:, slot] == wanted
    for name in rules.sides:
        fits &= (shown[name][:, 1:] != shown[name][:, :-1]).all(axis=1)
    for name, most in rules.caps:
        fits &= (shown[name][:, :, None] == shown[name][:, None, :]).sum(axis=2).max(axis=1) <= most
    for name, least in rules.different:
        in_order = np.sort(shown[name], axis=1)
        fits &= 1 + (in_order[:, 1:] != in_order[:, :-1]).sum(axis=1) >= least
    return np.asarray(fits)
