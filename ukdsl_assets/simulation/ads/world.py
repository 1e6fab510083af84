"""The simulated ads world: its users, its endless stream of ads, and the requests of a day.

Everything is a pure function of (seed, day); days count from the cascade's first day and may be negative. The settings
are those of a measured prototype in which pre-ranking over-predicts what it hands on, as in Table 1 of arXiv
2502.06834, for no other reason than that it learns from what was selected to be shown.
"""

from typing import NamedTuple

import numpy as np

from ukdsl_assets.declaration.sources import SimulatedSurface
from ukdsl_assets.simulation.hashing import hashed, integers, normals, uniforms

USERS = 50_000
ACTIVE_ADS = 3_000
NEW_ADS_A_DAY = 90
FIRST_DAYS_OLDEST_AD = 1_000_000  # ids stay positive for 11,000 days before the first
CATEGORIES_OF = {
    "user_segment": 64,
    "country": 20,
    "age_group": 8,
    "device": 4,
    "hour": 24,
    "placement": 6,
    "advertiser": 400,
    "category": 40,
    "format": 5,
}
LATENT = 8  # width of the latent tastes, the profile and the pair signals

CLICK_BASE, CONVERSION_BASE = -4.6, -3.5
# Share of a conversion's user and ad effect that is the click's.
SHARED_WITH_CLICK = 0.5
_MICROSECONDS_AN_HOUR = 3_600_000_000
_LIST_LEVELS = 1 << 16


class Requests(NamedTuple):
    """The requests of one day; every array has one row a request (R).

    number: 0 .. R - 1 within the day. user and the categorical features: int64. profile: float32 [R, 8], a noisy view
    of `latent`. microsecond: int64, of the UTC day. click_effect, conversion_effect: float32, everything in the logits
    that only depends on the request. pair_state: uint64, the user's part of the hash behind the pair signals.
    """

    number: np.ndarray
    user: np.ndarray
    user_segment: np.ndarray
    country: np.ndarray
    age_group: np.ndarray
    device: np.ndarray
    hour: np.ndarray
    placement: np.ndarray
    profile: np.ndarray
    microsecond: np.ndarray
    latent: np.ndarray
    click_effect: np.ndarray
    conversion_effect: np.ndarray
    pair_state: np.ndarray


class Ads(NamedTuple):
    """The active ads of one day, oldest first; every array but `drawn` has one row an ad (3,000).

    A row is called a slot. ad: int64 id. bid: float32 > 0. drawn: int16 [65,536], a slot for each value of 16 random
    bits, with ads as often as they are popular.
    """

    ad: np.ndarray
    advertiser: np.ndarray
    category: np.ndarray
    format: np.ndarray
    bid: np.ndarray
    latent: np.ndarray
    click_effect: np.ndarray
    conversion_effect: np.ndarray
    drawn: np.ndarray


class Tables(NamedTuple):
    """Fixed pairwise effects on the click logit, float32: [64, 40], [24, 40] and [6, 5]."""

    segment_category: np.ndarray
    hour_category: np.ndarray
    placement_format: np.ndarray


class World:
    """One world; `seed` chooses it. Building it draws the 50,000 users.

    Another surface of it has the same users and ads; `stream` is the seed of what happens on the surface.
    """

    def __init__(self, seed: int, surface: SimulatedSurface | None = None) -> None:
        self.seed = seed
        self.stream = seed if surface is None else int(hashed(seed, f"surface {surface.name}"))
        self._click_shift = 0.0 if surface is None else surface.click_shift
        self._difference = 0.0 if surface is None else surface.difference
        users = np.arange(USERS)
        self._user = {
            name: integers(CATEGORIES_OF[name], seed, name, users)
            for name in ("user_segment", "country", "age_group", "device")
        }
        centroids = self._vectors("segment centroid", np.arange(CATEGORIES_OF["user_segment"]))
        self._latent = 0.75 * centroids[self._user["user_segment"]] + 0.66 * self._vectors("user latent", users)
        self._profile = self._latent + 0.5 * self._vectors("user profile", users)
        effect = 0.6 * normals(seed, "user effect", users)
        for name, size in (("country", 0.5), ("age_group", 0.5), ("device", 0.3)):
            effect += size * self._effects(name)[self._user[name]]
        self._click_effect = 0.4 * effect
        self._conversion_effect = 0.4 * _mixed(effect, normals(seed, "user conversion effect", users))
        self._pair_state = hashed(seed, "pair", users)
        chance = (users + 50.0) ** -0.6
        self._reached = np.cumsum(chance / chance.sum())
        self._by_category = {"advertiser": self._effects("advertiser")}
        for name in ("hour", "placement", "category"):
            self._by_category[name] = self._blended(self._effects(name), f"own {name} effect")
        self._category_centroids = self._vectors("category centroid", np.arange(CATEGORIES_OF["category"]))
        self.tables = Tables(
            0.3 * self._pairwise("user_segment", "category"),
            0.21 * self._pairwise("hour", "category"),
            0.3 * self._pairwise("placement", "format"),
        )

    def requests(self, day: int, count: int) -> Requests:
        """The first `count` requests of a day; a larger count only adds further ones."""
        number = np.arange(count)
        chosen = np.searchsorted(self._reached, uniforms(self.stream, "request user", day, number))
        user = np.minimum(chosen, USERS - 1)
        hour = _hours(uniforms(self.stream, "request hour", day, number))
        placement = integers(CATEGORIES_OF["placement"], self.stream, "request placement", day, number)
        within = uniforms(self.stream, "request moment", day, number) * _MICROSECONDS_AN_HOUR
        moment = 0.15 * self._by_category["hour"][hour] + 0.3 * self._by_category["placement"][placement]
        wave = 0.08 * np.sin(2 * np.pi * day / 7)
        return Requests(
            number=number,
            user=user,
            **{name: values[user] for name, values in self._user.items()},
            hour=hour,
            placement=placement,
            profile=self._profile[user],
            microsecond=hour * _MICROSECONDS_AN_HOUR + within.astype(np.int64),
            latent=self._latent[user],
            click_effect=(CLICK_BASE + self._click_shift + wave + self._click_effect[user] + moment).astype(np.float32),
            conversion_effect=(CONVERSION_BASE + self._conversion_effect[user]).astype(np.float32),
            pair_state=self._pair_state[user],
        )

    def ads(self, day: int) -> Ads:
        """The 3,000 active ads of a day: yesterday's but the 90 oldest, and 90 new ones."""
        ad = FIRST_DAYS_OLDEST_AD + NEW_ADS_A_DAY * day + np.arange(ACTIVE_ADS)
        advertiser, category, form = (
            integers(CATEGORIES_OF[name], self.seed, name, ad) for name in ("advertiser", "category", "format")
        )
        effect = (
            0.7 * normals(self.seed, "ad effect", ad)
            + 0.5 * self._by_category["advertiser"][advertiser]
            + 0.5 * self._by_category["category"][category]
        )
        latent = 0.75 * self._category_centroids[category] + 0.66 * self._vectors("ad latent", ad)
        log_bid = normals(self.seed, "ad bid", ad) + normals(self.seed, "advertiser bid", advertiser)
        conversion_effect = _mixed(effect, normals(self.seed, "ad conversion effect", ad))
        return Ads(
            ad=ad,
            advertiser=advertiser,
            category=category,
            format=form,
            bid=np.exp(np.float32(0.7) * log_bid),
            latent=latent,
            click_effect=(0.5 * effect + self._walk(ad, day)).astype(np.float32),
            conversion_effect=(0.5 * conversion_effect).astype(np.float32),
            drawn=_popular(uniforms(self.seed, "ad popularity", ad)),
        )

    def _walk(self, ad: np.ndarray, day: int) -> np.ndarray:
        """Each ad's random walk since its first day: a fresh step of 0.06 a day."""
        age = (ACTIVE_ADS - 1 - np.arange(ACTIVE_ADS)) // NEW_ADS_A_DAY
        back = np.arange(age.max())
        steps = normals(self.seed, "ad walk", ad[:, None], day - back)
        return 0.06 * np.where(back < age[:, None], steps, 0).sum(axis=1)

    def _effects(self, name: str) -> np.ndarray:
        return normals(self.seed, f"{name} effect", np.arange(CATEGORIES_OF[name]))

    def _vectors(self, purpose: str, identifiers: np.ndarray) -> np.ndarray:
        return normals(self.seed, purpose, identifiers[:, None], np.arange(LATENT))

    def _pairwise(self, first: str, second: str) -> np.ndarray:
        rows, columns = np.arange(CATEGORIES_OF[first]), np.arange(CATEGORIES_OF[second])
        shared = normals(self.seed, f"{first} by {second}", rows[:, None], columns)
        return self._blended(shared, f"own {first} by {second}")

    def _blended(self, shared: np.ndarray, purpose: str) -> np.ndarray:
        """The world's effects, and the surface's own in the place of some of their variance."""
        if not self._difference:
            return shared
        own = normals(self.stream, purpose, np.arange(shared.size)).reshape(shared.shape)
        of_world, of_surface = np.sqrt([1 - self._difference, self._difference], dtype=np.float32)
        return of_world * shared + of_surface * own


def _mixed(click_effect: np.ndarray, own: np.ndarray) -> np.ndarray:
    return SHARED_WITH_CLICK * click_effect + np.float32(np.sqrt(1 - SHARED_WITH_CLICK**2)) * own


def _hours(uniform: np.ndarray) -> np.ndarray:
    """Hours of the day, fewest requests at 3:30 UTC and four times as many at 15:30."""
    chance = 1 - 0.6 * np.cos(2 * np.pi * (np.arange(24) - 3) / 24)
    return np.searchsorted(np.cumsum(chance / chance.sum())[:-1], uniform, side="right")


def _popular(uniform: np.ndarray) -> np.ndarray:
    """Slots in proportion to (rank + 30) ** -0.7, to the next 65,536th; the rarest ad has about nine."""
    reached = np.cumsum((ACTIVE_ADS * uniform + 30) ** -0.7)
    middle = (np.arange(_LIST_LEVELS) + 0.5) / _LIST_LEVELS
    return np.searchsorted(reached, middle * reached[-1]).astype(np.int16)
