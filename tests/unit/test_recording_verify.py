"""Checking recordings: damage with its place and time, changes, footers, signatures, heads that were kept."""

import errno
import json
import os
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from collectors.recording import walk
from collectors.recording.codec import compressed
from collectors.recording.layout import ZSTD, Kind, NewerFormat, RecordingError, Tag
from collectors.recording.signing import Signer
from collectors.recording.verify import verify
from tests.recording_files import T0, Tape, simple_frame, simple_frames, tape_of


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "one.tgrec"


def acted(tape: Tape, text: str) -> None:
    """An ACTION that carries the chain before itself."""
    body = {"tag": 32, "at": tape.at, "text": text, "chain": tape.chain.hex()}
    tape.record(Kind.ACTION, json.dumps(body).encode(), tag=32)


def a_tape(reason: str = "too slow", **options: object) -> Tape:
    tape = Tape(index_every=64, **options)  # type: ignore[arg-type]  # of Tape
    for tick in range(100):
        tape.frame(simple_frame(tick, T0 + 2 * tick))
        if tick == 20:
            acted(tape, reason)
    return tape


@pytest.fixture(scope="module")
def closed() -> Tape:
    """Only to be looked at."""
    tape = a_tape()
    tape.footer()
    return tape


def keys(tmp_path: Path) -> tuple[Signer, Path]:
    key = Ed25519PrivateKey.generate()
    public = tmp_path / "key.pub"
    public.write_bytes(
        key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
    )
    return Signer(key), public


def test_a_sound_file_is_sound(path: Path) -> None:
    """Counted, chained, and said to be no evidence: it is not signed."""
    tape = a_tape()
    tape.footer()
    report = verify(tape.write(path))
    assert report.faults == ()
    assert report.is_sound and not report.is_signed
    assert report.head == tape.chain.hex()
    assert report.counts["frames"] == 100
    assert report.counts["records"] == len(tape.entries)
    assert report.counts["indexes"] == len(tape.of_kind(Kind.INDEX))
    assert "unsigned: whoever can write the file can rewrite the chain" in report.lines
    assert report.lines[-1] == f"head: {report.head}"
    json.dumps([report.lines, dict(report.counts), report.faults, report.head])


def test_a_file_that_was_not_closed_can_be_sound(path: Path) -> None:
    """A tail that was cut off is told, and is no fault."""
    tape = a_tape()
    report = verify(tape.write(path, bytes(tape.data[:-7])))
    assert report.is_sound
    assert report.counts["tail"] == tape.entries[-1].size - 7
    assert any(line.startswith(f"tail of {report.counts['tail']} bytes ignored") for line in report.lines)
    assert any(line.startswith("not closed") for line in report.lines)


@pytest.mark.parametrize("kind", [1, 2, 3, 4, 5, 6, 8, 9])
@pytest.mark.parametrize("where", [3, 20, 50, 55, -1])
def test_damage_is_named_with_place_and_time(path: Path, closed: Tape, kind: int, where: int) -> None:
    """One bit, in header or payload of a record of each kind."""
    tape = closed
    hit = tape.of_kind(kind)[-1]
    data = bytearray(tape.data)
    data[hit.offset + (where if where >= 0 else hit.size - 1)] ^= 0x04
    report = verify(tape.write(path, bytes(data)))
    assert not report.is_sound
    first = report.faults[0]
    assert hit.offset <= first.offset <= hit.offset + hit.size
    assert first.at == pytest.approx(hit.t_wall / 1e6, abs=2.1)
    assert f"byte {first.offset}, near 2023-11-14" in first.line


def test_a_changed_action_breaks_the_chain(path: Path) -> None:
    """Written anew with a right CRC: the next INDEX carries another chain."""
    tape, other = a_tape(), a_tape("too fast")
    tape.footer()
    one, two = tape.of_kind(Kind.ACTION)[0], other.of_kind(Kind.ACTION)[0]
    assert one.size == two.size
    data = bytearray(tape.data)
    data[one.offset : one.offset + one.size] = other.data[two.offset : two.offset + two.size]
    report = verify(tape.write(path, bytes(data)))
    assert len(report.faults) == 1
    assert "the chain does not lead to record" in report.faults[0].text
    assert "something before it was changed" in report.faults[0].text


def test_a_chain_that_was_rewritten_is_found_by_evidence_alone(path: Path, tmp_path: Path) -> None:
    """A forger can compute it all anew: a signature or a kept head tells."""
    signer, public = keys(tmp_path)
    tape, forged = a_tape(), a_tape("too fast")
    tape.footer(signer)
    forged.footer()
    kept = tape.chain.hex()
    report = verify(tape.write(path), public, kept)
    assert report.is_sound and report.is_signed
    assert any(line.startswith("signed: the signature is valid") for line in report.lines)
    assert any(line.startswith("kept head: it is the end") for line in report.lines)
    forged.write(path)
    assert verify(path).is_sound
    assert not verify(path, head=kept).is_sound
    assert "not signed" in verify(path, public).faults[0].text


def test_another_signature_is_a_fault(path: Path, tmp_path: Path) -> None:
    """Another's key, and a signature whose file was changed behind it."""
    signer, public = keys(tmp_path)
    tape = a_tape()
    tape.footer(Signer(Ed25519PrivateKey.generate()))
    report = verify(tape.write(path), public)
    assert not report.is_sound and not report.is_signed
    assert "the signature is not valid" in report.faults[0].text
    tape = a_tape()
    tape.footer(signer)
    told = verify(tape.write(path)).lines
    assert f"signed by key {signer.key_id.hex()}, not checked: give its public key" in told
    tape.data[tape.entries[-1].offset + 60] ^= 1
    assert not verify(tape.write(path), public).is_sound


def test_a_kept_head_may_be_older(path: Path) -> None:
    """What was written up to it is unchanged; what came later it says nothing of."""
    tape = a_tape()
    kept = tape.chain.hex()
    behind = tape.entries[-1].seq
    tape.frame(simple_frame(100, T0 + 200))
    report = verify(tape.write(path), head=kept[:32])
    assert report.is_sound
    assert any(f"the chain behind record {behind} of one.tgrec" in line for line in report.lines)
    for wrong in ("xyz", "abcd"):
        with pytest.raises(RecordingError, match="head"):
            verify(path, head=wrong)


def test_an_index_that_lies_is_a_fault(path: Path) -> None:
    """It lists another record than the one that is there, with a right CRC and chain."""
    tape = a_tape()
    tape._since_index[3] = tape._since_index[3]._replace(t_wall=5)
    tape.footer()
    report = verify(tape.write(path))
    assert [fault.text for fault in report.faults] == [
        "an INDEX that lists other records than those that are there"
    ]


def test_records_that_were_taken_out_are_missed(path: Path) -> None:
    """Whole ones, so that each that is left has a right CRC."""
    tape = a_tape()
    tape.footer()
    gone = tape.of_kind(Kind.DELTA)[30]
    data = bytes(tape.data[: gone.offset]) + bytes(tape.data[gone.offset + gone.size :])
    report = verify(tape.write(path, data))
    assert not report.is_sound
    # The record behind it does not follow the one before, and is not believed either.
    assert "are missing" in " ".join(fault.text for fault in report.faults)


def test_segments_are_checked_together(tmp_path: Path) -> None:
    """Each has to go on with the chain of the one before."""
    chain = ""
    for number in range(3):
        tape = tape_of(simple_frames(10, T0 + 20 * number), facts={"segment": number, "prev_chain": chain})
        tape.footer()
        chain = tape.chain.hex() if number != 1 else "00" * 32
        tape.write(tmp_path / f"2024010{number}T000000Z-0123456789ab-{number:04}.tgrec")
    report = verify(tmp_path)
    assert report.counts["files"] == 3
    assert [fault.text for fault in report.faults] == [
        "it does not follow 20240101T000000Z-0123456789ab-0001.tgrec: one of them was changed or replaced"
    ]


def test_what_cannot_be_verified_is_refused(path: Path, tmp_path: Path) -> None:
    """No recording, a newer one, a key that is none."""
    path.write_bytes(b"nothing of ours")
    with pytest.raises(RecordingError, match="is no recording"):
        verify(path)
    tape_of(simple_frames(2), version=(2, 0), least=(2, 0)).write(path)
    with pytest.raises(NewerFormat):
        verify(path)
    tape_of(simple_frames(2)).write(path)
    (tmp_path / "key").write_text("no key")
    with pytest.raises(RecordingError, match="key"):
        verify(path, tmp_path / "key")


def test_nothing_in_a_report_reaches_a_terminal_uncleaned(path: Path) -> None:
    """Hostile JSON is a fault, in clean text."""
    tape = tape_of(simple_frames(3))
    tape.record(Kind.EVENT, compressed(b"[" * 100_000), flags=ZSTD, tag=Tag.STATE)
    tape.record(Kind.SCHEMA, compressed(b'{"schema_id":"\x1b[31m"}'), flags=ZSTD)
    tape.record(Kind.INDEX, compressed(b"\xff" * 60), flags=ZSTD)
    report = verify(tape.write(path))
    assert len(report.faults) == 3
    assert "\x1b" not in "".join(report.lines)


def test_how_far_it_is_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In bytes of all files, rising; often enough to be drawn."""
    monkeypatch.setattr("collectors.recording.verify._TOLD_BYTES", 2_000)
    for number in range(2):
        tape = tape_of(simple_frames(60, T0 + 200 * number), facts={"segment": number})
        tape.footer()
        tape.write(tmp_path / f"2024010{number + 1}T000000Z-0123456789ab-{number:04}.tgrec")
    told: list[tuple[str, int, int]] = []
    report = verify(tmp_path, progress=lambda *one: told.append(one))
    assert {(what, most) for what, _, most in told} == {("bytes", report.counts["bytes"])}
    done = [one for _, one, _ in told]
    assert done == sorted(done) and len(done) > 6 and done[-1] > 0.8 * report.counts["bytes"]


def test_notes_that_unpack_to_very_much_are_looked_at_in_part(path: Path) -> None:
    """Where somebody asks for that: what is beyond is no fault, and damage is found all the same."""
    tape = tape_of(simple_frames(5))
    for _ in range(30):
        tape.note(Tag.PAST, {"past": [["alpha", "gold", "waiting", T0 - n, 1.0] for n in range(100)]})
    last = tape.note(Tag.PAST, {"past": [{"no": "past"}]})
    tape.footer()
    assert verify(tape.write(path)).is_sound
    assert verify(path, note_bytes=20_000).is_sound
    data = bytearray(tape.data)
    data[last.offset + last.size - 3] ^= 1
    for report in (verify(tape.write(path, bytes(data))), verify(path, note_bytes=20_000)):
        # What stands behind it tells that the chain is broken.
        assert [fault.offset for fault in report.faults][:1] == [last.offset] and len(report.faults) == 2


def test_a_disk_that_cannot_read_is_a_fault(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is behind the bad place is looked at; nobody sees a traceback."""
    tape = a_tape()
    tape.footer()
    bad = tape.of_kind(Kind.INDEX)[0]
    read = os.pread

    def pread(opened: int, size: int, offset: int) -> bytes:
        if offset <= bad.offset + 60 < offset + size:
            if offset >= bad.offset:
                raise OSError(errno.EIO, os.strerror(errno.EIO))
            size = bad.offset + 60 - offset
        return read(opened, size, offset)

    tape.write(path)
    monkeypatch.setattr(os, "pread", pread)
    monkeypatch.setattr(walk, "_UNREADABLE", 512)
    monkeypatch.setattr(walk, "_AHEAD", 1024)
    report = verify(path)
    assert not report.is_sound and len(tape.entries) - 20 < report.counts["records"] < len(tape.entries)
    assert all(bad.offset - 60 <= fault.offset for fault in report.faults)
