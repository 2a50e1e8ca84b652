"""Queues that know how long each of their members has waited, for many classes at once.

A class keeps one cell for each step in which somebody joined it, oldest first, with the step it stands for:
ages stay exact however long a class was idle. Patience is exponential, so a cell decays lazily:
after a steps it holds `joined * exp(-a dt / patience)`. A ring of cells that is full gives up its oldest.
"""

from typing import NamedTuple

import numpy as np

from collectors.simulator.classes import Floats, Ints
from collectors.simulator.scenario import STEP_S

FAINT = 1e-6
"""Requests: less than this in a queue or a cell is nobody."""


class Popped(NamedTuple):
    """What left the queues in one step, in order of class, oldest first.

    classes: (n,) indices; age: (n,) steps waited; amount: (n,) requests
    """

    classes: Ints
    age: Ints
    amount: Floats


NOBODY = Popped(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0))


class Cohorts:
    """`cells`: steps with arrivals that a class can remember, a power of two."""

    def __init__(self, patience_s: Floats, cells: int) -> None:
        classes = len(patience_s)
        self._cells = cells
        self._decay = -STEP_S / patience_s
        # Untouched cells cost no memory: zeros are mapped when first written.
        self._mass = np.zeros(classes * cells)
        self._born = np.zeros(classes * cells, dtype=np.int64)
        self._head = np.zeros(classes, dtype=np.int64)
        self._tail = np.zeros(classes, dtype=np.int64)

    def join(self, tick: int, joined: Floats) -> Floats:
        """Take the arrivals of one step, (K,). Returns what full rings had to give up, (K,) requests."""
        lost = np.zeros_like(joined)
        at = np.flatnonzero(joined > 0)
        full = at[self._tail[at] - self._head[at] == self._cells]
        if full.size:
            cell = self._cell(full, self._head)
            age = tick - self._born[cell]
            lost[full] = self._mass[cell] * np.exp(age * self._decay[full])
            self._head[full] += 1
        cell = self._cell(at, self._tail)
        self._mass[cell] = joined[at]
        self._born[cell] = tick
        self._tail[at] += 1
        return lost

    def pop(self, tick: int, wanted: Floats) -> Popped:
        """Take `wanted` (K,) requests, oldest first; fewer where a queue holds fewer."""
        out: list[Popped] = [NOBODY]
        at = np.flatnonzero((wanted > 0) & (self._tail > self._head))
        left = wanted[at]
        while at.size:
            cell = self._cell(at, self._head)
            age = tick - self._born[cell]
            mass = self._mass[cell]
            faded = np.exp(age * self._decay[at])
            held = mass * faded
            whole = left >= held - FAINT
            taken = np.where(whole, held, left)
            out.append(Popped(at, age, taken))
            self._mass[cell] = mass - taken / faded
            self._head[at] += whole
            left = left - taken
            more = whole & (left > FAINT) & (self._tail[at] > self._head[at])
            at, left = at[more], left[more]
        classes, ages, amounts = (np.concatenate(column) for column in zip(*out, strict=True))
        order = np.argsort(classes, kind="stable")
        return Popped(classes[order], ages[order], amounts[order])

    def clear(self, classes: Ints) -> None:
        """Forget what these classes hold."""
        self._head[classes] = self._tail[classes]

    def oldest_age(self, tick: int) -> Ints:
        """Steps the oldest member of each class has waited, (K,); 0 where nobody waits."""
        born = self._born[self._cell(np.arange(len(self._head)), self._head)]
        return np.where(self._tail > self._head, tick - born, 0)

    def _cell(self, classes: Ints, where: Ints) -> Ints:
        return classes * self._cells + (where[classes] & (self._cells - 1))
