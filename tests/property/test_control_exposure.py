"""Exposure of any list of stages, held against the contract's sentence."""

import itertools

from hypothesis import given
from hypothesis import strategies as st

from collectors.control import wire
from collectors.control.server import rules
from collectors.control.sse import EventReader

TIERS = ("pro", "plus", "team", "free")
WEIGHTS = st.integers(0, 10_000).map(lambda whole: whole / 10_000)
STAGES = st.lists(st.tuples(st.sampled_from((*TIERS, "*")), WEIGHTS), min_size=1, max_size=12).map(
    lambda pairs: tuple(wire.Stage(f"s{n}", tier, weight) for n, (tier, weight) in enumerate(pairs))
)
BASE = st.dictionaries(st.sampled_from(TIERS), WEIGHTS).map(
    lambda weights: tuple(wire.TierWeight(tier, weight) for tier, weight in weights.items())
)


@given(STAGES, BASE, st.data())
def test_the_last_stage_that_names_a_tier_decides(
    stages: tuple[wire.Stage, ...], base: tuple[wire.TierWeight, ...], data: st.DataObject
) -> None:
    """The weight of the last stage at or before the index that names the tier ("*" all), else its base."""
    index = data.draw(st.integers(0, len(stages) - 1))
    got = {one.tier: one.desired for one in rules.exposure(stages, base, index, TIERS)}
    for tier in TIERS:
        naming = [one.weight for one in stages[: index + 1] if one.tier in {tier, "*"}]
        given_base = {one.tier: one.weight for one in base}.get(tier, 0.0)
        assert got[tier] == (naming[-1] if naming else given_base)


@given(STAGES, BASE, st.data())
def test_a_stage_moves_only_whom_it_names(
    stages: tuple[wire.Stage, ...], base: tuple[wire.TierWeight, ...], data: st.DataObject
) -> None:
    """From one stage to the next, tiers that the next one does not name stay where they are."""
    index = data.draw(st.integers(0, len(stages) - 1))
    before = rules.exposure(stages, base, index - 1 if index else None, TIERS)
    after = rules.exposure(stages, base, index, TIERS)
    for old, new in zip(before, after, strict=True):
        if stages[index].tier in {new.tier, "*"}:
            assert new.desired == stages[index].weight
        else:
            assert new.desired == old.desired


@given(STAGES, BASE)
def test_before_the_first_stage_there_is_only_the_base(
    stages: tuple[wire.Stage, ...], base: tuple[wire.TierWeight, ...]
) -> None:
    """Pending and aborted releases stand at `base`, and at nothing where it names no one."""
    weights = {one.tier: one.weight for one in base}
    for one in rules.exposure(stages, base, None, TIERS):
        assert one.desired == weights.get(one.tier, 0.0)
        assert one.observed is None


@given(st.floats(0, 4e9))
def test_times_survive_the_wire_to_the_millisecond(at: float) -> None:
    """What is written is read back within half a millisecond, and written the same again."""
    text = wire.render_time(at)
    assert abs(wire.read_time(text) - at) <= 0.000501
    assert wire.render_time(wire.read_time(text)) == text


@given(st.binary(max_size=300), st.lists(st.integers(0, 300), max_size=8))
def test_a_stream_reads_the_same_however_it_is_cut(body: bytes, cuts: list[int]) -> None:
    """Chunks of a network fall anywhere."""
    whole = EventReader().feed(body + b"\n\n")
    reader, edges = EventReader(), sorted({0, *(cut for cut in cuts if cut < len(body)), len(body)})
    pieces = [body[a:b] for a, b in itertools.pairwise(edges)] + [b"\n\n"]
    assert [event for piece in pieces for event in reader.feed(piece)] == whole
