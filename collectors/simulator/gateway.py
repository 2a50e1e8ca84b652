"""The gateway in front of the fleet: who gets what a release opens, counted request by request.

What a release was seen to do comes from these counters and from nothing else, so a gateway that does not obey
is seen not to. A retry keeps the decision of its first attempt, and is not counted again.
"""

from collections import deque
from collections.abc import Iterable
from typing import Literal, NamedTuple

import numpy as np

from collectors.simulator.classes import Classes, Floats, Ints
from collectors.simulator.scenario import STEP_S

METRIC = "gateway_requests_total"
"""Labels: subject, tier, decision; of a model that serves, also revision: the one that does."""

SAMPLE_STEPS = 10
"""The counters are looked at this often: every five seconds."""

WINDOWS = (2, 12, 60)
"""Samples that a share may be taken over, 10 s to 5 min: the shortest that has enough requests."""

ENOUGH = 30
"""A share of fewer requests says nothing."""

Decision = Literal["candidate", "stable", "open", "closed"]


class Route(NamedTuple):
    """What the gateway is told of one release's subject.

    kind: model or feature
    stable: what those get who are not exposed; None: a model does not serve them, a feature is closed to them
    shares: of each tier, in order of the fleet's tiers
    """

    subject: str
    kind: str
    candidate: str
    stable: str | None
    shares: tuple[float, ...]


class Series(NamedTuple):
    """What one counter of each tier counts."""

    subject: str
    decision: Decision
    revision: str


class Gateway:
    """Counts decisions since the world began.

    series: in order of first being asked for; counts: (series, T) whole requests
    """

    def __init__(self, classes: Classes, rng: np.random.Generator) -> None:
        self._classes, self._rng = classes, rng
        self._routes: tuple[Route, ...] = ()
        self.series: dict[Series, int] = {}
        self.counts = np.zeros((0, len(classes.tiers)))
        self._told(())

    def step(self, routes: tuple[Route, ...], new: Floats, no_model: Floats, no_feature: Floats) -> None:
        """Count one step.

        new: (K,) first attempts that the fleet was asked
        no_model, no_feature: (K,) those a second that found the model, or the feature, closed to them
        """
        if routes != self._routes:
            self._told(routes)
        if not self._chosen.size:
            return
        tiers = self.counts.shape[1]
        got = (self._asking @ new).reshape(-1, tiers)
        # Opened and closed parts of a stream of random requests are streams of their own.
        away = self._rng.poisson(self._turned_away @ np.concatenate((no_model, no_feature)) * STEP_S)
        rest = away.reshape(-1, tiers).astype(np.float64)
        if (split := self._split).size:
            came = got[split]
            got[split] = self._rng.binomial(came.astype(np.int64), self._shares)
            rest[split] = came - got[split]
        self.counts[self._chosen] += got
        self.counts[self._other] += rest

    def _told(self, routes: tuple[Route, ...]) -> None:
        """Make ready for these routes, of subjects that the fleet has: whose requests count for which of them
        in which tier, and which counters they go to."""
        c = self._classes
        known = {"model": c.models, "feature": c.features}
        of = {"model": c.model, "feature": c.feature}
        served = [route for route in routes if route.subject in known[route.kind]]
        splits = [route.kind == "model" and route.stable is not None for route in served]
        tier = np.arange(len(c.tiers))[:, None] == c.tier
        nobody = np.zeros_like(tier)
        asking, away = [nobody[:0]], [np.hstack((nobody, nobody))[:0]]
        for route, is_split in zip(served, splits, strict=True):
            asks = tier & (of[route.kind] == known[route.kind].index(route.subject))
            asking.append(asks)
            turned = nobody if is_split else asks
            away.append(np.hstack((turned, nobody) if route.kind == "model" else (nobody, turned)))
        self._routes = routes
        self._asking, self._turned_away = np.vstack(asking) * 1.0, np.vstack(away) * 1.0
        self._split = np.flatnonzero(splits)
        self._shares = np.array([r.shares for r in served]).reshape(-1, len(c.tiers))[self._split]
        self._chosen = _whole(self._row(_chosen(route)) for route in served)
        self._other = _whole(self._row(_unchosen(route)) for route in served)
        missing = len(self.series) - len(self.counts)
        self.counts = np.vstack((self.counts, np.zeros((missing, len(c.tiers)))))

    def _row(self, series: Series) -> int:
        return self.series.setdefault(series, len(self.series))


class Seen:
    """Which shares of the tiers got a release's subject lately, by the gateway's counters."""

    def __init__(self, gateway: Gateway, tiers: tuple[str, ...]) -> None:
        self._gateway, self._tiers = gateway, tiers
        self._samples: deque[Floats] = deque(maxlen=WINDOWS[-1] + 1)
        self.sample()

    def sample(self) -> None:
        """Keep the counters as they stand. To be called every `SAMPLE_STEPS`, before `shares`."""
        self._samples.append(self._gateway.counts.copy())

    def shares(self, subject: str, candidate: str) -> dict[str, float | None]:
        """By tier: the share of a feature's requests that found it open, or of a model's that got the
        candidate; to 3 decimals. Over the shortest window with enough requests; None where there is none.
        """
        now, series = self._gateway.counts, self._gateway.series
        rows = [row for one, row in series.items() if one.subject == subject]
        wanted = {Series(subject, "open", ""), Series(subject, "candidate", candidate)}
        got = [series[one] for one in wanted & series.keys()]
        found: dict[str, float | None] = dict.fromkeys(self._tiers)
        for window in WINDOWS:
            if window >= len(self._samples):
                break
            then = self._samples[-1 - window]
            # A counter that was not there yet stood at nought.
            gained = now - np.vstack((then, np.zeros((len(now) - len(then), len(self._tiers)))))
            total, part = gained[rows].sum(axis=0), gained[got].sum(axis=0)
            for number, tier in enumerate(self._tiers):
                if found[tier] is None and total[number] >= ENOUGH:
                    found[tier] = round(float(part[number] / total[number]), 3)
        return found


def _chosen(route: Route) -> Series:
    """What counts the requests that got the subject of a route."""
    if route.kind == "feature":
        return Series(route.subject, "open", "")
    return Series(route.subject, "candidate", route.candidate)


def _unchosen(route: Route) -> Series:
    if route.kind == "model" and route.stable is not None:
        return Series(route.subject, "stable", route.stable)
    return Series(route.subject, "closed", "")


def _whole(numbers: Iterable[int]) -> Ints:
    return np.array(list(numbers), dtype=np.int64)
