"""Throttles and releases as feature flags: what each flag says, by the state alone."""

import json
from typing import Any

import pytest
from msgspec.structs import replace

from collectors.control import wire
from collectors.control.server import ofrep
from collectors.control.server.ofrep import Context, FlagError, context_of, evaluated, flag_keys, share_of
from collectors.control.server.serve import EXAMPLE_SEED
from collectors.control.server.state import Held
from collectors.control.server.store import Store

NOW = 1795280400.0


def held(**levels: float) -> Held:
    """The example's state, with cells `feature__tier` at other levels."""
    store = Store.open(None)
    store.seed(json.loads(EXAMPLE_SEED.read_text()), NOW)
    for name, level in levels.items():
        feature, _, tier = name.partition("__")
        store.set_level(feature.replace("_", "-"), tier, level, now=NOW, actor="bob", reason="a test")
    return store.held


def flag(state: Held, key: str, user: str = "user-1", tier: str = "free") -> dict[str, Any]:
    """One flag for one user."""
    return evaluated(state, key, Context(user, tier, False))


@pytest.mark.parametrize(
    ("key", "user", "share"),
    [
        ("image-generation", "user-1", 0.9795),
        ("image-generation", "user-2", 0.2009),
        ("release.llama-70b", "user-1", 0.6753),
        ("release.llama-70b", "user-4", 0.3064),
    ],
)
def test_the_draw_is_the_contracts(key: str, user: str, share: float) -> None:
    """The check values of the contract, to four decimals."""
    assert round(share_of(key, user), 4) == share


def test_a_throttle_admits_those_below_its_level() -> None:
    """At 30 % user-2 (0.2009) is admitted and user-1 (0.9795) is not; the level is told as a float."""
    state = held(image_generation__free=0.3)
    assert flag(state, "image-generation", "user-1")["value"] is False
    admitted = flag(state, "image-generation", "user-2")
    assert (admitted["value"], admitted["reason"], admitted["variant"]) == (True, "SPLIT", "on")
    level = flag(state, "image-generation.level")
    assert (level["value"], level["variant"], level["reason"]) == (0.3, "free@0.3000", "TARGETING_MATCH")


@pytest.mark.parametrize(("level", "value"), [(0.0, False), (1.0, True)])
def test_whole_levels_are_static_and_stay_floats_in_json(level: float, value: bool) -> None:
    """0 and 1 admit nobody and all, and are written with a decimal point, as clients insist."""
    state = held(image_generation__free=level)
    found = flag(state, "image-generation")
    assert (found["value"], found["reason"]) == (value, "STATIC")
    assert f'"value":{level:.1f},'.encode() in wire.render(flag(state, "image-generation.level"))


def test_raising_a_level_drops_nobody() -> None:
    """Whoever is admitted at one level is admitted at every higher one."""
    states = [held(image_generation__free=level / 10) for level in range(11)]
    for user in range(200):
        admitted = [flag(one, "image-generation", f"u{user}")["value"] for one in states]
        assert admitted == sorted(admitted)


def test_a_release_is_open_by_the_exposure_of_the_tier() -> None:
    """Of a tier that is not open yet: false and 0.0; the candidate and the stable revision are told."""
    state = held()
    closed = flag(state, "release.llama-70b", tier="free")
    assert (closed["value"], closed["reason"]) == (False, "STATIC")
    assert {"candidate", "stable", "kind", "subject"} <= closed["metadata"].keys()
    release = state.releases["llama-70b"]
    for one in release.status.exposure:
        assert flag(state, "release.llama-70b.weight", tier=one.tier)["value"] == one.desired


def test_a_missing_key_matters_for_draws_only() -> None:
    """A boolean needs somebody to draw for; a level is the same for all."""
    with pytest.raises(FlagError) as raised:
        flag(held(), "image-generation", user="")
    assert raised.value.code == "TARGETING_KEY_MISSING"
    assert flag(held(image_generation__free=0.7), "image-generation.level", user="")["value"] == 0.7


@pytest.mark.parametrize("key", ["nothing", "nothing.level", "release.nothing", "release.nothing.weight", ""])
def test_flags_that_there_are_not(key: str) -> None:
    """Named, with the protocol's code and 404."""
    with pytest.raises(FlagError) as raised:
        flag(held(), key)
    assert (raised.value.status, raised.value.code) == (404, "FLAG_NOT_FOUND")


@pytest.mark.parametrize("tier", [None, "nobody", 7, {}])
def test_an_unknown_tier_is_the_default_one_and_says_so(tier: object) -> None:
    """Absent, unknown or no text: the plane's default tier."""
    state = held()
    context = context_of(wire.render({"context": {"targetingKey": "u", "tier": tier}}), state)
    assert (context.tier, context.tier_defaulted) == (state.config.default_tier, True)


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"{", b'{"context":1}', b'{"context":{"targetingKey":1}}', b"\xff"]
)
def test_bodies_that_cannot_be_read(body: bytes) -> None:
    """The protocol's parse error, never a fault."""
    with pytest.raises(FlagError) as raised:
        context_of(body, held())
    assert (raised.value.status, raised.value.code) == (400, "PARSE_ERROR")


def test_a_ramp_is_followed_as_it_goes() -> None:
    """While it ramps, what is in force counts and not where it goes."""
    state = held(image_generation__free=0.3)
    key = ("image-generation", "free")
    cell = replace(state.throttles[key], state="ramping", effective_level=0.55)
    state = Held(state.seq, state.config, state.releases, {**state.throttles, key: cell})
    assert flag(state, "image-generation.level")["value"] == 0.55


def test_an_unknown_level_is_an_error_and_never_a_value_left_out() -> None:
    """A client would take a missing value for its own default."""
    state = held()
    key = ("image-generation", "free")
    cell = replace(state.throttles[key], level=None, effective_level=None, unit="priority")
    state = Held(state.seq, state.config, state.releases, {**state.throttles, key: cell})
    with pytest.raises(FlagError) as raised:
        flag(state, "image-generation")
    assert raised.value.code == "GENERAL"


def test_every_flag_of_the_state_is_listed_once() -> None:
    """Two of each feature and two of each release."""
    state = held()
    keys = list(flag_keys(state))
    assert len(keys) == len(set(keys)) == 2 * (len(state.config.features) + len(state.releases))
    assert ofrep.PATH.startswith("/ofrep/v1/")
