"""A simulated item page: the details of an item, and below it modules of recommendations, six of which are shown.

Each page view has twelve of sixteen modules to choose from. What a user clicks depends on the module, the user, the
item, what the session has seen so far, and the slot: further down, fewer look. Everything is a pure function of
(seed, day), drawn by hashes of what it belongs to.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from ukdsl_assets.simulation.hashing import integers, normals, uniforms

MODULES, ELIGIBLE, SLOTS = 16, 12, 6
USERS, SEGMENTS, CATEGORIES, PRICE_BANDS, DEVICES, KINDS, TASTES = 20_000, 12, 24, 5, 3, 6, 6
EXPLORED_SHARE = 0.05
# An explored page shows six of its twelve in random order.
PROPENSITY = SLOTS / ELIGIBLE
CLICK_BASE, PURCHASE_BASE = -2.9, -1.8
# Added to the logit of a click in each slot, times a factor of the device (desktop, phone, tablet).
SLOT_EFFECT = np.array([0, -0.35, -0.7, -1.0, -1.3, -1.55], np.float32)
DEVICE_FACTOR = np.array([1.0, 1.3, 0.8], np.float32)
_SECOND = 1_000_000
_DAY = 86_400 * _SECOND
MEAN_CLICK_DELAY, MEAN_PURCHASE_DELAY = 20 * _SECOND, 2 * 3_600 * _SECOND
_EVERY_MODULE = np.arange(1, MODULES + 1)


class PageViews(NamedTuple):
    """The page views of a day (R): arrays of a row each, or of one for each of their modules [R, 12].

    number: 0 .. R - 1. microsecond: int64, of the UTC day. user: int64, 0 to 19,999, whom no feature names.
    profile: float32 [R, 6], a noisy view of the user's tastes.
    last_module: the module that the user clicked last in the session, 0 for none; pages_seen: float32, logarithm of 1 +
    the pages of the session so far. modules: int64, ids 1 to 16, ascending; kind: of the module. relevance: float32,
    how well what the module has found fits the item. click, purchase: float32, true logits of a click in the first
    slot, and of a purchase given a click.
    """

    number: np.ndarray
    microsecond: np.ndarray
    user: np.ndarray
    user_segment: np.ndarray
    device: np.ndarray
    category: np.ndarray
    price_band: np.ndarray
    profile: np.ndarray
    last_module: np.ndarray
    pages_seen: np.ndarray
    modules: np.ndarray
    kind: np.ndarray
    relevance: np.ndarray
    click: np.ndarray
    purchase: np.ndarray


class ServedPages(NamedTuple):
    """What was shown and what became of it; arrays are [R, 6] by slot, times in microseconds since the day's start.

    shown: int64, places among the twelve. explored: bool [R]. click_at and purchase_at only mean something where
    clicked and purchased.
    """

    views: PageViews
    shown: np.ndarray
    explored: np.ndarray
    impression_at: np.ndarray
    clicked: np.ndarray
    click_at: np.ndarray
    purchased: np.ndarray
    purchase_at: np.ndarray


# Scores of the modules of page views, float [R, 12]: the highest goes to the first slot.
Policy = Callable[[PageViews], np.ndarray]


class ItemPageWorld:
    """One world; `seed` chooses it.

    personalisation: at least 0; scales what of the logits of a module, of a click as of a purchase, differs from page
        to page (user, item, device, session, relevance, and what nobody observes), beside what the module is worth on
        every page. At 0 the best order is the same on all pages that have the same modules to choose from.
    """

    def __init__(self, seed: int, personalisation: float = 1.0) -> None:
        self.seed, self.personalisation = seed, personalisation
        users = np.arange(USERS)
        self._segment = integers(SEGMENTS, seed, "segment", users)
        centroids = self._vectors("segment centroid", np.arange(SEGMENTS))
        self._taste = 0.8 * centroids[self._segment] + 0.6 * self._vectors("user taste", users)
        self._profile = self._taste + 0.4 * self._vectors("user profile", users)
        self._device = integers(DEVICES, seed, "device", users)
        self._kind = integers(KINDS, seed, "kind", _EVERY_MODULE)
        self._module_taste = self._vectors("module", _EVERY_MODULE)
        self._attraction = 0.6 * normals(seed, "attraction", _EVERY_MODULE)
        self._conversion = 0.5 * normals(seed, "conversion", _EVERY_MODULE)
        self._of_category = personalisation * 0.4 * self._with_module("category", CATEGORIES)
        self._of_device = personalisation * 0.3 * self._with_module("device", DEVICES)
        self._of_price = personalisation * 0.4 * self._with_module("price", PRICE_BANDS)
        # Merchandisers know about how modules do on the whole, for no page in particular.
        self._curated = self._attraction + self._of_category.mean(0) + 0.3 * normals(seed, "curated", _EVERY_MODULE)

    def static_configuration(self, views: PageViews) -> np.ndarray:
        """The curated order, the same on every page: what production shows, float32 [R, 12]."""
        return self._curated[views.modules - 1]

    def page_views(self, day: int, count: int) -> PageViews:
        """The page views of a day, counted from the first."""
        seed, number, level = self.seed, np.arange(count), self.personalisation
        user = (USERS * uniforms(seed, "user", day, number) ** 2).astype(np.int64)
        category = integers(CATEGORIES, seed, "item category", day, number)
        price_band = integers(PRICE_BANDS, seed, "price band", day, number)
        device = self._device[user]
        keys = uniforms(seed, "eligible", day, number[:, None], _EVERY_MODULE)
        modules = np.sort(np.argsort(keys, axis=1)[:, :ELIGIBLE], axis=1) + 1
        at, pair = modules - 1, (day, number[:, None], modules)
        fit = self._taste[user] @ self._module_taste.T / np.sqrt(TASTES)
        # Half of the sessions have clicked a module before, mostly what suits the user.
        liked = (fit + normals(seed, "session", day, number[:, None], _EVERY_MODULE)).argmax(axis=1) + 1
        last = np.where(uniforms(seed, "has clicked", day, number) < 0.5, liked, 0)
        same_kind = (last[:, None] > 0) & (self._kind[at] == self._kind[last - 1][:, None])
        pages = np.log1p(integers(8, seed, "pages seen", day, number))
        fit = np.take_along_axis(fit, at, axis=1)
        relevance = normals(seed, "relevance", *pair)
        click = (
            CLICK_BASE
            + self._attraction[at]
            + self._of_category[category[:, None], at]
            + self._of_device[device[:, None], at]
            + level * 0.5 * fit
            + level * 0.4 * relevance
            + level * 0.9 * (modules == last[:, None])
            + level * 0.3 * same_kind
            - 0.2 * pages[:, None]
            + level * 0.3 * normals(seed, "unobserved", *pair)
        )
        purchase = (
            PURCHASE_BASE
            + self._conversion[at]
            + self._of_price[price_band[:, None], at]
            + level * 0.4 * fit
            + level * 0.3 * relevance
            - 0.25 * (price_band[:, None] - 2)
        )
        return PageViews(
            number=number,
            microsecond=np.sort((_DAY * uniforms(seed, "moment", day, number)).astype(np.int64)),
            user=user,
            user_segment=self._segment[user],
            device=device,
            category=category,
            price_band=price_band,
            profile=self._profile[user].astype(np.float32),
            last_module=last,
            pages_seen=pages.astype(np.float32),
            modules=modules,
            kind=self._kind[at],
            relevance=relevance,
            click=click.astype(np.float32),
            purchase=purchase.astype(np.float32),
        )

    def serve(self, day: int, count: int, policy: Policy, explored_share: float = EXPLORED_SHARE) -> ServedPages:
        """A day's pages in the order of a policy, a share of them in random order; a pure function of the arguments."""
        seed, views = self.seed, self.page_views(day, count)
        scores = np.array(policy(views), np.float64)
        explored = uniforms(seed, "explored", day, views.number) < explored_share
        order = uniforms(seed, "exploration order", day, views.number[:, None], views.modules)
        scores[explored] = order[explored]
        return self.respond(day, views, top(scores), explored)

    def respond(self, day: int, views: PageViews, shown: np.ndarray, explored: np.ndarray) -> ServedPages:
        """What users do with pages that somebody else has ordered; a pure function of the arguments.

        Args:
            views: page views of that day, or some of them: what happens to one does not depend on the others.
            shown: integers [R, 6], places among the twelve by slot, six different ones a page.
            explored: bool [R], pages whose order was drawn by chance.
        """
        seed = self.seed
        click, purchase = probabilities(views, shown)
        drawn = (day, views.number[:, None], np.take_along_axis(views.modules, shown, axis=1))
        clicked = uniforms(seed, "click", *drawn) < click
        impression_at = np.repeat(views.microsecond[:, None], SLOTS, axis=1)
        click_at = impression_at + _SECOND + _delay(uniforms(seed, "click delay", *drawn), MEAN_CLICK_DELAY)
        return ServedPages(
            views=views,
            shown=shown,
            explored=explored,
            impression_at=impression_at,
            clicked=clicked,
            click_at=click_at,
            purchased=clicked & (uniforms(seed, "purchase", *drawn) < purchase),
            purchase_at=click_at + _delay(uniforms(seed, "purchase delay", *drawn), MEAN_PURCHASE_DELAY),
        )

    def _vectors(self, purpose: str, entities: np.ndarray) -> np.ndarray:
        return normals(self.seed, purpose, entities[:, None], np.arange(TASTES))

    def _with_module(self, what: str, count: int) -> np.ndarray:
        return normals(self.seed, f"module and {what}", np.arange(count)[:, None], _EVERY_MODULE)


def top(scores: np.ndarray) -> np.ndarray:
    """Places of each row's six highest scores, the highest first, int64 [R, 6]; of equal scores the earlier place."""
    return np.argsort(-scores, axis=1, kind="stable")[:, :SLOTS]


def probabilities(views: PageViews, shown: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """True probability of a click in the slot where a module is shown, and of a purchase given a click.

    Args:
        shown: integers [R, 6], places among the twelve by slot, as in `ServedPages`.

    Returns:
        float32 [R, 6] each.
    """
    slot = SLOT_EFFECT * DEVICE_FACTOR[views.device][:, None]
    click = np.take_along_axis(views.click, shown, axis=1) + slot
    purchase = np.take_along_axis(views.purchase, shown, axis=1)
    return 1 / (1 + np.exp(-click)), 1 / (1 + np.exp(-purchase))


def _delay(uniform: np.ndarray, mean: float) -> np.ndarray:
    """Exponential delays of the given mean, whole microseconds."""
    return (-mean * np.log1p(-uniform)).astype(np.int64)
