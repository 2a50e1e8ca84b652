"""The recorder of a session: what reaches the file, in which order, and what happens when it cannot."""

import os
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from collectors.fleet import Event, EventKind, Past
from collectors.recording import layout, writer
from collectors.recording.codec import decompressed
from collectors.recording.file import INDEX_EVERY, SIGNED_OF_FOOTER
from collectors.recording.index import read_index
from collectors.recording.layout import (
    DIRECTORY,
    FOOTER,
    HLEN,
    Footer,
    Kind,
    RecordingError,
    Tag,
)
from collectors.recording.redact import Redaction
from collectors.recording.shape import Shaper
from collectors.recording.signing import is_signed_by, key_id, read_public, read_signer
from collectors.sessions import Mark, View
from tests.frames import AT
from tests.recording_parts import Clock, changing, made, put_all, recording, walk


def test_what_is_put_is_in_the_file(tmp_path: Path) -> None:
    """Every frame's numbers come back from the file as the shaper made them, sources' times included."""
    frames = list(changing(130))
    with recording(tmp_path / "a.tgrec") as one:
        put_all(one, iter(frames))
    found = walk(tmp_path / "a.tgrec")
    shaper = Shaper(found.header.facts["t0_wall"])
    assert len(found.frames) == 130
    for kept, frame in zip(found.frames, frames, strict=True):
        shaped = shaper.take(frame)
        assert kept.numbers is not None and kept.times is not None
        assert np.array_equal(kept.numbers, shaped.values) and np.array_equal(kept.times, shaped.times)
        assert kept.record.t_wall == round(frame.at * 1e6)
    assert one.state.frames == 130
    assert (one.state.since, one.state.seconds, one.state.trouble) == (AT, 129.0, "")
    assert one.state.size_bytes == (tmp_path / "a.tgrec").stat().st_size


def test_a_file_begins_with_all_that_a_reader_needs(tmp_path: Path) -> None:
    """Run start, schema and state, each twice, and a frame that stands for itself; the header tells."""
    with recording(tmp_path / "a.tgrec", simulated=False) as one:
        one.put(next(changing(1)))
    found = walk(tmp_path / "a.tgrec")
    kinds = [(one.kind, one.tag) for one in found.records]
    assert kinds == [
        (Kind.EVENT, Tag.RUN_START),
        (Kind.SCHEMA, -1),
        (Kind.SCHEMA, -1),
        (Kind.EVENT, Tag.SNAPSHOT),
        (Kind.EVENT, Tag.SNAPSHOT),
        (Kind.KEY, -1),
        (Kind.EVENT, Tag.RUN_STOP),
        (Kind.INDEX, -1),
        (Kind.FOOTER, -1),
    ]
    facts = found.header.facts
    assert facts["context"] == "prod-eu" and facts["zone"] == "Europe/Berlin" and facts["poll_s"] == 5.0
    assert facts["segment"] == 0 and facts["source"] == "live" and facts["prev_chain"] == ""
    assert facts["t0_wall"] == round(AT * 1e6) and facts["redaction"] == Redaction().policy
    assert len(facts["recording"]) == 12 and facts["app"].startswith("tidegate") and facts["host"]
    assert found.records[1].body["header"] == facts
    assert {"set", "order", "reasons"} <= found.records[3].body.keys()
    assert found.rest == 0


def test_keys_come_every_sixty_frames(tmp_path: Path) -> None:
    """KEY, nine deltas, SUBKEY, ...: no frame hangs on more than a KEY, a SUBKEY and nine others."""
    with recording(tmp_path / "a.tgrec") as one:
        put_all(one, changing(125))
    kinds = [one.kind for one in walk(tmp_path / "a.tgrec").frames]
    for place, kind in enumerate(kinds):
        wanted = Kind.KEY if place % 60 == 0 else Kind.SUBKEY if place % 10 == 0 else Kind.DELTA
        assert kind == wanted


def test_what_is_not_new_is_not_written(tmp_path: Path) -> None:
    """The same frame at a later tick costs nothing, and still counts as recorded time."""
    frame = next(changing(1))
    with recording(tmp_path / "a.tgrec") as one:
        put_all(one, (replace(frame, at=AT + n, tick=n) for n in range(5)))
        assert (one.state.frames, one.state.seconds) == (1, 4.0)
    assert len(walk(tmp_path / "a.tgrec").frames) == 1


def test_an_index_follows_every_512_records(tmp_path: Path) -> None:
    """It lists all since the one before; behind it the schema and the whole state are told again."""
    with recording(tmp_path / "a.tgrec") as one:
        put_all(one, changing(1100))
    found = walk(tmp_path / "a.tgrec")
    places = [n for n, one in enumerate(found.records) if one.kind == Kind.INDEX]
    assert places[:2] == [INDEX_EVERY, 2 * INDEX_EVERY]
    before, start = 0, 0
    for place in places:
        index = found.records[place]
        back, _, entries = read_index(decompressed(index.payload))
        assert back == before
        assert [entry.offset for entry in entries] == [one.offset for one in found.records[start:place]]
        assert [entry[2:8] for entry in entries] == [
            (r.seq, r.key_seq, r.ref_seq, r.t_wall, r.t_mono, r.kind)
            for r in (one.record for one in found.records[start:place])
        ]
        assert [entry.tag for entry in entries] == [max(one.tag, 0) for one in found.records[start:place]]
        before, start = index.offset, place
        if place != places[-1]:
            assert [one.kind for one in found.records[place + 1 : place + 3]] == [Kind.SCHEMA, Kind.EVENT]
            assert found.records[place + 2].tag == Tag.SNAPSHOT
    assert found.waiting == list(range(100, 1200))


def test_the_footer_counts_and_points_at_every_index(tmp_path: Path) -> None:
    """Counts, times and chain of the whole file; its directory names the place of each INDEX."""
    path = tmp_path / "a.tgrec"
    with recording(path) as one:
        put_all(one, changing(600))
        one.mark(Mark(AT, "ada", "here"))
    found, data = walk(path), path.read_bytes()
    footer = Footer.unpack(data)
    records = found.records[:-1]
    indexes = [one for one in records if one.kind == Kind.INDEX]
    assert footer.size == found.records[-1].record.size == HLEN + 24 * len(indexes) + FOOTER.size
    assert footer.frames == 600 and footer.records == len(records)
    assert footer.events == sum(one.kind in layout.NOTED for one in records)
    assert footer.first_wall == round(AT * 1e6) and footer.last_wall == round((AT + 599) * 1e6)
    assert footer.signature == bytes(64) and footer.indexes == len(indexes)
    directory = found.records[-1].payload[: -FOOTER.size]
    assert [one[0] for one in DIRECTORY.iter_unpack(directory)] == [one.offset for one in indexes]


def test_a_footer_is_signed_where_there_is_a_key(tmp_path: Path) -> None:
    """Ed25519 over directory and counts; one changed byte and it is no longer good."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    private = Ed25519PrivateKey.generate()
    key = tmp_path / "key.pem"
    key.write_bytes(private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    with pytest.raises(RecordingError, match="chmod 600"):
        read_signer(key)
    key.chmod(0o600)
    with recording(tmp_path / "a.tgrec", key=key) as one:
        put_all(one, changing(3))
    data = (tmp_path / "a.tgrec").read_bytes()
    footer = Footer.unpack(data)
    signed = data[-footer.size + HLEN : len(data) - FOOTER.size + SIGNED_OF_FOOTER]
    public = read_public(key)
    assert footer.key_id == key_id(public)
    assert is_signed_by(public, footer.signature, signed)
    assert not is_signed_by(public, footer.signature, signed[:-1] + bytes((signed[-1] ^ 1,)))


@pytest.mark.parametrize("content", ["", "no key at all", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END"])
def test_a_key_of_no_use_is_told_before_anything_is_written(tmp_path: Path, content: str) -> None:
    """A sentence that names the file and not what is in it; no recording is begun."""
    key = tmp_path / "key.pem"
    key.write_text(content)
    key.chmod(0o600)
    with pytest.raises(RecordingError, match="no private Ed25519 key"):
        made(tmp_path / "a.tgrec", key=key)
    assert not (tmp_path / "a.tgrec").exists()


def test_events_come_before_their_frame_and_are_tagged(tmp_path: Path) -> None:
    """Each event is a record of its own, found by its tag without reading, in front of the frame it is of."""
    told = [
        (EventKind.ALERT, "P1", "", Tag.ALERT),
        (EventKind.ALERT, "cleared", "", Tag.ALERT_CLEARED),
        (EventKind.RELEASE, "ada", "", Tag.STAGE),
        (EventKind.SOURCE, "prom", "lost: refused", Tag.POLL_FAILURE),
        (EventKind.SOURCE, "prom", "answers again", Tag.RECOVERY),
        (EventKind.ACTION, "ada", "", Tag.HAPPENED),
    ]
    events = tuple(Event(AT, kind, actor, "llama-70b", text) for kind, actor, text, _ in told)
    past = tuple(Past("llama-70b", "pro", "waiting", AT - n, float(n)) for n in range(12_000))
    first, second = changing(2)
    with recording(tmp_path / "a.tgrec") as one:
        one.put(first)
        one.put(replace(second, events=events, past=past))
    found = walk(tmp_path / "a.tgrec")
    keys = [n for n, one in enumerate(found.records) if one.kind in layout.FRAMES]
    between = [one.tag for one in found.records[keys[0] + 1 : keys[1]]]
    assert between == [*(tag for *_, tag in told), Tag.PAST, Tag.PAST, Tag.PAST]


def test_what_comes_before_the_first_frame_is_kept_for_it(tmp_path: Path) -> None:
    """The watched clock is not known before: a view and a mark wait, and are written in order."""
    with recording(tmp_path / "a.tgrec") as one:
        one.view(View(screen="model"))
        one.mark(Mark(AT, "ada", "begin"))
        assert (tmp_path / "a.tgrec").stat().st_size == 0
        one.put(next(changing(1)))
    tags = [one.tag for one in walk(tmp_path / "a.tgrec").records if one.tag >= 0]
    assert tags == [Tag.RUN_START, Tag.VIEW, Tag.BOOKMARK, Tag.SNAPSHOT, Tag.SNAPSHOT, Tag.RUN_STOP]


def test_a_view_is_recorded_when_it_changes(tmp_path: Path) -> None:
    """The same view twice is one record."""
    with recording(tmp_path / "a.tgrec") as one:
        one.put(next(changing(1)))
        for screen in ("fleet", "fleet", "model"):
            one.view(View(screen=screen))
    assert len(walk(tmp_path / "a.tgrec").tags(Tag.VIEW)) == 2


def test_without_a_frame_nothing_is_left(tmp_path: Path) -> None:
    """A source that never answered leaves no empty file."""
    with recording(tmp_path / "a.tgrec") as one:
        one.view(View())
    assert list(tmp_path.iterdir()) == []
    assert not one.state.is_on


def test_a_note_is_on_the_disk_when_the_wait_is_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An intent is synchronised at once, a frame is not; what is queued together is synchronised once."""
    synced: list[int] = []
    fdatasync = os.fdatasync

    def counted(opened: int) -> None:
        synced.append(os.fstat(opened).st_size)
        fdatasync(opened)

    monkeypatch.setattr(os, "fdatasync", counted)
    path = tmp_path / "a.tgrec"
    with recording(path) as one:
        put_all(one, changing(20))
        before = len(synced)
        one.note(Kind.ACTION, Tag.INTENT, {"operation": "release.pause"}, wait_s=5.0)
        assert len(synced) == before + 1
        assert synced[-1] == path.stat().st_size
        put_all(one, changing(5, first=30))
        assert len(synced) == before + 1
    (action,) = walk(path).tags(Tag.INTENT)
    assert action.kind == Kind.ACTION and action.body["operation"] == "release.pause"


def test_a_clock_that_is_set_is_told_and_recording_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Back an hour, forward a day: two steps, no frame is missing, recording time goes on evenly."""
    clock, path = Clock(monkeypatch), tmp_path / "a.tgrec"
    offsets = [0.0] * 3 + [-3600.0] * 3 + [86_400.0] * 3
    with recording(path, simulated=False) as one:
        for frame, offset in zip(changing(9), offsets, strict=True):
            clock.put(one, replace(frame, at=frame.at + offset), 1.0)
    found = walk(path)
    assert found.waiting == list(range(100, 109))
    assert [round(one.body["step_s"]) for one in found.tags(Tag.CLOCK_STEP)] == [-3600, 90_000]
    assert [one.record.t_mono for one in found.frames] == [n * 1_000_000 for n in range(9)]
    steps = [found.records.index(one) for one in found.tags(Tag.CLOCK_STEP)]
    assert [found.records[place + 1].kind in layout.FRAMES for place in steps] == [True, True]


def test_a_leap_smear_is_no_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A clock that runs slower by a second a day: nothing is told within minutes."""
    clock = Clock(monkeypatch)
    with recording(tmp_path / "a.tgrec", simulated=False) as one:
        for n, frame in enumerate(changing(60)):
            clock.put(one, replace(frame, at=AT + n * (1 - 1 / 86_400)), 1.0)
    assert not walk(tmp_path / "a.tgrec").tags(Tag.CLOCK_STEP, Tag.GAP)


def test_both_clocks_follow_a_simulated_one(tmp_path: Path) -> None:
    """A minute of the demo is a minute of recording time, however fast it goes; no step is seen."""
    with recording(tmp_path / "a.tgrec") as one:
        put_all(one, changing(5, step_s=60.0))
        one.mark(Mark(AT, "ada", ""))
    found = walk(tmp_path / "a.tgrec")
    assert [one.record.t_mono for one in found.frames] == [n * 60_000_000 for n in range(5)]
    assert found.tags(Tag.BOOKMARK)[0].record.t_wall == found.frames[-1].record.t_wall
    assert not found.tags(Tag.CLOCK_STEP)


def test_a_stretch_without_frames_is_a_gap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that slept: what stood there before is not shown as if it were true all the time."""
    clock = Clock(monkeypatch)
    one_frame = next(changing(1))
    with recording(tmp_path / "a.tgrec", simulated=False) as one:
        for n in range(30):
            clock.put(one, replace(one_frame, at=AT + n), 1.0)
        clock.put(one, next(changing(1, first=629)), 600.0)
    found = walk(tmp_path / "a.tgrec")
    (gap,) = found.tags(Tag.GAP)
    assert (gap.body["from"], gap.body["to"]) == (AT + 29, AT + 629)
    assert [one.kind for one in found.frames] == [Kind.KEY, Kind.KEY]


def test_a_future_is_not_told_twice() -> None:
    """Who gave up waiting does not end the thread that writes."""
    done: Future[None] = Future()
    done.cancel()
    writer._tell(done)
