"""The judge of the fault campaign: it is silent where all is well, and names each thing that is not."""

from msgspec import structs

from collectors import intending
from collectors.control import chain, decode, wire
from collectors.intents import Outcome, OutcomeKind, decided
from tests.fault_judge import Claim, Made, Witness, claim_faults, log_faults, state_faults, told_faults

CELL = wire.Throttle(feature="chat", tier="free", seq=4, etag="t-4", level=1.0, effective_level=1.0)
TEN = wire.Throttle(feature="chat", tier="free", seq=6, etag="t-6", level=0.1, effective_level=0.1)


def entry(made: Made, **more: object) -> wire.Audit:
    """What a plane logs of setting the cell from 100 % to 10 %."""
    intent = made.intent
    found = wire.Audit(
        id="a-7",
        seq=7,
        at="2026-11-22T01:00:00Z",
        actor=made.actor,
        op=intent.operation,
        resource=intent.target.path,
        reason=intent.reason,
        result="applied",
        decision_id=intent.decision_id,
        idempotency_key=intent.key,
        before={"level": 1.0, "expires_at": None},
        after={"level": 0.1, "expires_at": None},
    )
    return structs.replace(found, **more)


def made(
    kind: OutcomeKind | None = OutcomeKind.APPLIED, *, audit_id: str = "a-7", was_sent: bool = True
) -> Made:
    """The decision to admit 10 %, told to have ended as `kind`."""
    (intent,) = decided([intending.set_throttle(decode.throttle(CELL), level=0.1)], "queue is long")
    known, is_final = kind or OutcomeKind.UNKNOWN, kind is not None
    outcome = Outcome(intent, known, 0.0, "", audit_id=audit_id, is_final=is_final, was_sent=was_sent)
    return Made(1, "ann", intent, {"level": 0.1}, [outcome])


def said(one: Made, *log: wire.Audit) -> list[str]:
    """What the judge finds in what was told of one decision."""
    return [why for _, why in told_faults([one], log)]


def test_the_chain_and_each_key_once() -> None:
    """A log whose chain holds, with a key of its own for each write; a second time is named."""
    one = made()
    first = chain.sealed(entry(one), "")
    second = chain.sealed(entry(one, id="a-8", seq=8), first.sha256)
    assert log_faults([wire.render(first)]) == []
    assert log_faults([wire.render(first), wire.render(second)]) == [
        f"ann's key {one.intent.key} was applied 2 times"
    ]
    assert "was changed" in log_faults([wire.render(first).replace(b"ann", b"ben")])[0]


def test_the_state_is_what_the_log_makes_of_it() -> None:
    """Each entry begins where the last one ended, and the resource stands where the last one left it."""
    one = made()
    log = [entry(one), entry(one, id="a-8", before={"level": 0.1}, after={"level": 0.5})]
    half = structs.replace(TEN, level=0.5)
    assert state_faults(log, [half]) == []
    assert state_faults(log, [TEN]) == [f"{TEN.path} level is 0.1, and by the log 0.5"]
    lost = [log[0], entry(one, id="a-8", before={"level": 0.3}, after={"level": 0.5})]
    assert state_faults(lost, [half]) == [f"a-8: {TEN.path} level was 0.1 and is 0.3 before"]
    other = structs.replace(half, last_change=wire.Change("a-9", "throttle.set", "ann", "", ""))
    assert state_faults(log, [other]) == [f"{TEN.path} was changed by a-9, which the log has not"]


def test_what_was_told_is_so() -> None:
    """Applied is applied, by that entry; refused and conflict are not; unknown may be either."""
    for kind in (OutcomeKind.APPLIED, OutcomeKind.UNKNOWN, None):
        one = made(kind)
        assert said(one, entry(one)) == []
    for kind in (OutcomeKind.REFUSED, OutcomeKind.CONFLICT, OutcomeKind.UNKNOWN, None):
        assert said(made(kind)) == []
    assert said(made()) == ["was told applied, and it is not"]
    one = made(audit_id="a-3")
    assert said(one, entry(one)) == ["was told applied by a-3, and it was a-7"]
    one = made(OutcomeKind.REFUSED)
    assert said(one, entry(one)) == ["was told refused, and it is applied (a-7)"]
    assert said(made(OutcomeKind.PENDING)) == ["ended pending, which this plane never says"]
    unsent = made(OutcomeKind.CONFLICT, was_sent=False)
    assert said(unsent) == []
    assert said(unsent, entry(unsent, result="refused")) == [
        "was told that it was not sent, and the log has it"
    ]


def test_a_write_does_what_was_asked_where_it_was_seen() -> None:
    """Another write under the key, another state than seen, another effect, and one that nobody asked for."""
    one = made()
    assert said(one, entry(one, op="throttle.clear"))[0].startswith("a-7 is throttle.clear of /v1/throttles/")
    assert said(one, entry(one, before={"level": 0.5})) == [
        "a-7 was applied where level was 0.5, and 1.0 was seen"
    ]
    assert said(one, entry(one, after={"level": 0.2})) == ["a-7 made level 0.2, and 0.1 was asked for"]
    assert said(one, entry(one, reason="")) == ["a-7 has another decision or reason"]
    alien = entry(one, id="a-8", idempotency_key="k-1")
    assert said(one, entry(one), alien) == ["ann's key k-1 was applied, and nobody asked for it"]


def test_what_a_later_look_said_is_so() -> None:
    """Of one write it is exact; of several that it can have been, one has to fit."""
    one, other = made(None), made(None)
    log = [entry(one)]
    assert not list(claim_faults([Claim("was applied", (one,)), Claim("was refused", (other,))], log))
    assert not list(claim_faults([Claim("was applied", (other, one))], log))
    found = claim_faults([Claim("was never heard of", (one,)), Claim("was applied", (other,))], log)
    assert [why for _, why in found] == [
        "settled as 'was never heard of', and it is applied",
        "settled as 'was applied', and it is not applied",
    ]


def test_seq_and_etag_only_go_forward() -> None:
    """An etag is of one state; neither comes back, and nothing goes away."""
    witness = Witness()
    witness.look(4, [CELL])
    witness.look(6, [TEN])
    witness.look(7, [structs.replace(TEN, seq=7, effective_level=0.2)])
    assert (witness.faults, witness.etags) == ([], 2)
    witness.look(8, [structs.replace(TEN, seq=8, level=0.2)])
    witness.look(9, [structs.replace(CELL, seq=7)])
    witness.look(3, [])
    assert witness.faults == [
        f"{TEN.path} has etag t-6 for another state than before",
        f"{TEN.path} went back from seq 8 to 7",
        f"{TEN.path} went back from etag t-6 to t-4",
        "seq went back from 9 to 3",
        f"{TEN.path} is no longer there",
    ]
