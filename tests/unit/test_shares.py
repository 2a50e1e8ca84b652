"""Which share of a model's requests each feature had, and has."""

from dataclasses import replace

from collectors.fleet import Frame
from collectors.readings import Quality, Reading, reading
from tests.frames import AT
from tests.throttle_frames import sharing, throttled
from tui.screens.shares import Shares, feature_shares

NAME = "delta-code"


def seen(*shares: tuple[float, float]) -> Shares:
    """Fed with (seconds since the begin, share of images)."""
    made = Shares()
    for after, share in shares:
        made.add(
            replace(sharing(throttled(), NAME, images=100 * share, chat=100 - 100 * share), at=AT + after)
        )
    return made


def shares_of(frame: Frame) -> dict[str, float]:
    """Of the one model."""
    return dict(feature_shares(next(one for one in frame.models if one.name == NAME)))


def test_the_oldest_of_two_hours_is_kept() -> None:
    """An hour into a surge what was before it is still known; what is older than two is forgotten."""
    made = seen((0, 0.25), (120, 0.5), (300, 0.75), (3600, 0.75))
    assert made.oldest(NAME, "images") == 0.25
    made.add(replace(sharing(throttled(), NAME, images=1.0, chat=0.0), at=AT + 7260))
    assert made.oldest(NAME, "images") == 0.5
    assert made.oldest(NAME, "voice") is None


def test_time_that_goes_back_or_far_ahead_starts_afresh() -> None:
    """As a replay does."""
    assert seen((600, 0.5), (0, 0.25)).oldest(NAME, "images") == 0.25
    assert seen((0, 0.25), (7260, 0.5)).oldest(NAME, "images") == 0.5


def test_a_clock_that_was_corrected_takes_nothing_away() -> None:
    """Back over the edge of a minute: what was there stays."""
    assert seen((0, 0.25), (120, 0.5), (110, 0.75)).oldest(NAME, "images") == 0.25


def test_a_model_that_is_gone_is_forgotten() -> None:
    """After the window."""
    made = seen((0, 0.25))
    for minute in range(1, 121):
        made.add(replace(throttled(), at=AT + 60 * minute))
    assert made.oldest(NAME, "images") is None


def test_shares_are_of_all_that_arrives() -> None:
    """Of the model's own arrivals where they are more; of nothing where a feature's are not known."""
    frame = sharing(throttled(), NAME, images=3.0, chat=1.0)
    assert shares_of(frame) == {"images": 0.75, "chat": 0.25}

    def with_whole(whole: Reading, **more: Reading) -> Frame:
        return replace(
            frame,
            models=tuple(
                replace(
                    m,
                    readings={**m.readings, "arrivals": whole},
                    by_feature={**m.by_feature, **{name: {"arrivals": one} for name, one in more.items()}},
                )
                for m in frame.models
                if m.name == NAME
            ),
        )

    whole = reading("arrivals", 8.0, AT)
    lost = Reading(None, AT, Quality.MISSING)
    assert shares_of(with_whole(whole)) == {"images": 0.375, "chat": 0.125}
    assert shares_of(with_whole(whole, voice=lost)) == {"images": 0.375, "chat": 0.125}
    assert shares_of(with_whole(lost, voice=lost)) == {}
    assert shares_of(sharing(throttled(), NAME, images=0.0)) == {}
