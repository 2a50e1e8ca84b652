"""Which stacks pages carry, and how that is known. Pure functions of the targets' histories."""

from collections.abc import Iterable, Sequence

from collectors.scrape.evaluate import accepts
from collectors.scrape.history import TargetHistory
from collectors.signals.catalogue import Detected, Matcher, Preset, Probed


def proves(preset: Preset, history: TargetHistory) -> bool:
    """True if a page has a series of the stack's proof, with the labels that the proof must have."""
    return any(_has(history, name, preset.where) for name in preset.proof)


def detected(presets: Iterable[Preset], histories: Sequence[TargetHistory]) -> tuple[Detected, ...]:
    """The stacks that some page carries, in order of the presets, each explained."""
    found = ((preset, [h for h in histories if proves(preset, h)]) for preset in presets)
    return tuple(_explained(preset, pages) for preset, pages in found if pages)


def _explained(preset: Preset, pages: Sequence[TargetHistory]) -> Detected:
    proof = tuple(name for name in preset.proof if any(_has(h, name, preset.where) for h in pages))
    generation = next(
        (g.name for g in preset.generations if any(_has(h, name, ()) for h in pages for name in g.proof)), ""
    )
    probes = []
    for probe in preset.probes:
        named = (probe.metric, *probe.or_metrics)
        there = any(_has(h, name, probe.where) for h in pages for name in named)
        probes.append(Probed(probe.id, there, probe.present if there else probe.absent))
    jobs = sorted({h.labels.get("job", "") for h in pages})
    return Detected(preset.stack, preset.title, preset.role, proof, tuple(jobs), generation, tuple(probes))


def _has(history: TargetHistory, name: str, where: Sequence[Matcher]) -> bool:
    if not where:
        return history.carries(name)
    tests = [accepts(matcher) for matcher in where]
    return any(
        series.scrape == history.scrape and all(test(series.labels) for test in tests)
        for series in history.named(name)
    )
