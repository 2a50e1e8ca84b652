"""What the marks on the screen mean, for the help: drawn from the glyphs, so it cannot be out of date."""

from tui.format import MEAN, Glyphs


def marks(glyphs: Glyphs) -> tuple[tuple[str, str], ...]:
    """Each mark as it is drawn, with its meaning."""
    g = glyphs
    return (
        (f"{g.p1} {g.p2} {g.p3}", "alert: P1, P2, P3"),
        (g.shelved, "alert that is silenced"),
        (g.over, "above its objective, and no alert for it"),
        (f"{g.straddles}3.8", "an estimate from a histogram's bucket"),
        (g.straddles, "the bucket spans the objective: it decides nothing"),
        ("p3.8", "the p95: too few observations for a p99, which is no smaller"),
        (f"{MEAN[0]}3.8", "the mean: nothing here measures a p99"),
        ("few", "too few observations for any quantile"),
        (f"3.8{g.longer}", "over a longer time, to have enough observations"),
        (f"3.8{g.some}", "of some targets, or without a source that is lost"),
        (f"{g.no_data}3.8", "stale: older than two scrapes"),
        ("3.8?", "suspect: it contradicts another"),
        (g.agrees, "behind a name: counts and times agree within 10 % (Little's law)"),
        (g.nearly, "behind a name: they agree within 25 %"),
        (g.differs, "behind a name: they do not; the numbers are suspect"),
        (f"{g.no_data} ?", "behind a name: not known any more, or the load moves too fast to tell"),
        (f"-- {g.dash}", "not measured; idle"),
        (f"42{g.ramping}", "throttle on its way: the share admitted now"),
        (g.differs, "before a throttle or a tier: what is seen is not what is in force"),
        ("T s r", "events: throttle, step of a release, what else happens to it"),
        (f"{g.released} {g.partial} {g.paused} {g.closed}", "stage: open, in part, paused, not open"),
    )
