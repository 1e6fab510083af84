"""The production models' networks: two towers for the early stages, an MLP with crosses for ranking.

All ids of a network are rows of one embedding table. An ad's own id is a place on a ring of as many places as there are
active ads, so the tables never grow; the place is handed on to the ad that replaces it.
"""

from collections.abc import Iterable
from itertools import accumulate, pairwise

import numpy as np
import torch
from torch import Tensor, nn

from ukdsl_assets.simulation.ads.world import ACTIVE_ADS, CATEGORIES_OF, LATENT, Ads, Requests
from ukdsl_assets.simulation.hashing import normals

_REQUEST_IDS = ("user_segment", "country", "age_group", "device", "hour", "placement")
_AD_IDS = ("advertiser", "category", "format")
_CROSSES = (("user_segment", "category"), ("hour", "category"), ("placement", "format"))
_REQUEST_SIZES = tuple(CATEGORIES_OF[name] for name in _REQUEST_IDS)
_AD_SIZES = (ACTIVE_ADS, *(CATEGORIES_OF[name] for name in _AD_IDS))  # the ring comes first
_CROSS_SIZES = tuple(CATEGORIES_OF[first] * CATEGORIES_OF[second] for first, second in _CROSSES)
_EMBEDDING_SPREAD = 0.1


class Embedding(nn.Module):
    """One table of random rows for ids of several kinds, `sizes` rows for each."""

    def __init__(self, sizes: Iterable[int], width: int) -> None:
        super().__init__()
        *starts, rows = accumulate(sizes, initial=0)
        self.starts = torch.tensor(starts)
        self.table = nn.Embedding(rows, width)
        nn.init.normal_(self.table.weight, std=_EMBEDDING_SPREAD)

    def forward(self, *ids: np.ndarray) -> Tensor:
        """float32 [..., kinds * width] of one int64 array [...] a kind, broadcast against each other."""
        stacked = torch.from_numpy(np.stack(np.broadcast_arrays(*ids), axis=-1))
        return self.table(stacked + self.starts).flatten(-2)


class EarlyStageNetwork(nn.Module):
    """Click logit = dot product of a request vector and an ad vector, plus a bias.

    profile: how many numbers of the user's profile the request tower sees.
    """

    def __init__(self, profile: int, embedding: int, hidden: int, output: int, bias: float) -> None:
        super().__init__()
        self.profile = profile
        self.request_embedding = Embedding(_REQUEST_SIZES, embedding)
        self.ad_embedding = Embedding(_AD_SIZES, embedding)
        self.request_layers = _layers(len(_REQUEST_SIZES) * embedding + profile, hidden, output)
        self.ad_layers = _layers(len(_AD_SIZES) * embedding, hidden, output)
        self.bias = nn.Parameter(torch.tensor(bias))

    def request_vectors(self, requests: Requests) -> Tensor:
        """float32 [R, output]."""
        embedded = self.request_embedding(*_request_ids(requests))
        return self.request_layers(torch.cat([embedded, torch.from_numpy(requests.profile[:, : self.profile])], dim=1))

    def ad_vectors(self, ads: Ads, slots: np.ndarray) -> Tensor:
        """float32 [..., output] of integer slots [...]."""
        return self.ad_layers(self.ad_embedding(*_ad_ids(ads, slots)))

    def forward(self, requests: Requests, ads: Ads, slots: np.ndarray) -> Tensor:
        """Logits, float32 [R, K] of integer slots [R, K]."""
        return (self.request_vectors(requests)[:, None] * self.ad_vectors(ads, slots)).sum(-1) + self.bias

    def admit(self, seed: int, ads: np.ndarray) -> None:
        """Give new ads (ids, int64 [N]) fresh rows in place of those of the ads that they replace."""
        _renew(self.ad_embedding.table.weight, 0, seed, ads)


class Ranker(nn.Module):
    """Logits of a click and of a conversion given a click, from all ids, crosses, the whole profile and the signals."""

    def __init__(self, embedding: int, click_bias: float, conversion_bias: float) -> None:
        super().__init__()
        sizes = (*_REQUEST_SIZES, *_AD_SIZES, *_CROSS_SIZES)
        self.embedding = Embedding(sizes, embedding)
        self.layers = _layers(len(sizes) * embedding + 2 * LATENT, 128, 64, 2)
        self.wide = nn.Embedding(ACTIVE_ADS, 2)
        nn.init.zeros_(self.wide.weight)
        self.bias = nn.Parameter(torch.tensor([click_bias, conversion_bias]))

    def forward(self, requests: Requests, ads: Ads, slots: np.ndarray, signals: np.ndarray) -> Tensor:
        """float32 [R, K, 2] of integer slots [R, K] and signals [R, K, 8]."""
        ids = [values[:, None] for values in _request_ids(requests)] + _ad_ids(ads, slots)
        for first, second in _CROSSES:
            of_request, of_ad = getattr(requests, first)[:, None], getattr(ads, second)[slots]
            ids.append(of_request * CATEGORIES_OF[second] + of_ad)
        profile = torch.from_numpy(requests.profile)[:, None].expand(*slots.shape, LATENT)
        inputs = torch.cat([self.embedding(*ids), profile, torch.from_numpy(signals)], dim=-1)
        return self.layers(inputs) + self.wide(torch.from_numpy(_ring(ads.ad[slots]))) + self.bias

    def admit(self, seed: int, ads: np.ndarray) -> None:
        """Give new ads (ids, int64 [N]) fresh rows in place of those of the ads that they replace."""
        _renew(self.embedding.table.weight, sum(_REQUEST_SIZES), seed, ads)
        with torch.no_grad():
            self.wide.weight[_ring(ads)] = 0


def _request_ids(requests: Requests) -> list[np.ndarray]:
    return [getattr(requests, name) for name in _REQUEST_IDS]


def _ad_ids(ads: Ads, slots: np.ndarray) -> list[np.ndarray]:
    return [_ring(ads.ad[slots]), *(getattr(ads, name)[slots] for name in _AD_IDS)]


def _ring(ad: np.ndarray) -> np.ndarray:
    """Place of each ad id; different for all ads of a day."""
    return ad % ACTIVE_ADS


def _renew(table: Tensor, ring_start: int, seed: int, ads: np.ndarray) -> None:
    width = table.shape[1]
    fresh = _EMBEDDING_SPREAD * normals(seed, "fresh embedding", ads[:, None], width, np.arange(width))
    with torch.no_grad():
        table[ring_start + _ring(ads)] = torch.from_numpy(fresh.astype(np.float32))


def _layers(*widths: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for before, after in pairwise(widths):
        layers += [nn.Linear(before, after), nn.ReLU()]
    return nn.Sequential(*layers[:-1])
