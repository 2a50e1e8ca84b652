"""Reading one exposition page."""

import gzip
import math
import zlib

import pytest

from collectors.scrape import page as page_module
from collectors.scrape.page import MAX_PAGE_BYTES, PageError, PageReader, read_page, unpacked

OPEN = "application/openmetrics-text; version=1.0.0; charset=utf-8"


def seen(
    text: str, content_type: str = "", wanted: str = "m"
) -> list[tuple[dict[str, str], float, float | None]]:
    """(labels, value, own time) of every sample of one metric."""
    return [(one.labels, value, at) for one, value, at in read_page(text.encode(), {wanted}, content_type)]


@pytest.mark.parametrize(
    ("line", "labels", "value", "at"),
    [
        ("m 1", {}, 1.0, None),
        ("m{} 1", {}, 1.0, None),
        ('m{a="b"} 1.5e3', {"a": "b"}, 1500.0, None),
        ('m{a="b",} 2', {"a": "b"}, 2.0, None),
        ('m{a="",b="c"} 2', {"b": "c"}, 2.0, None),
        (
            'm{a="with space, } and { \\\\ \\" \\n end"} 3',
            {"a": 'with space, } and { \\ " \n end'},
            3.0,
            None,
        ),
        ('m{a="\\\\n"} 3', {"a": "\\n"}, 3.0, None),
        ('m{a="7 8"} 9', {"a": "7 8"}, 9.0, None),
        ("m 4 1700000000123", {}, 4.0, 1700000000.123),
        ("  m\t4  ", {}, 4.0, None),
        ("m 4\r", {}, 4.0, None),
        ('m {a="b"} 5', {"a": "b"}, 5.0, None),
        ('m{ a = "b" , c="d" } 5', {"a": "b", "c": "d"}, 5.0, None),
        ('{"m",a="b"} 6', {"a": "b"}, 6.0, None),
        ("m +Inf", {}, math.inf, None),
        ("m -Inf", {}, -math.inf, None),
        ("m 0x1p-2", None, None, None),
        ("m 1_000", None, None, None),
        ("m", None, None, None),
        ("m{", None, None, None),
        ('m{a="b} 1', None, None, None),
        ('m{a="b"}', None, None, None),
        ("m{a=b} 1", None, None, None),
        ('m{a="1",a="2"} 1', None, None, None),
        ("m one", None, None, None),
        ("<br/> 1", None, None, None),
    ],
)
def test_line_forms(line: str, labels: dict[str, str] | None, value: float, at: float | None) -> None:
    """Every form of line is read as the formats say, alone and when its series is already known."""
    if labels is None:
        with pytest.raises(PageError, match=r"^line 2 "):
            read_page(f"# HELP m x\n{line}\n".encode(), {"m"})
        return
    assert seen(f"{line}\n") == [(labels, value, at)]
    assert seen(f"{line}\n{line}\n") == [(labels, value, at)] * 2


def test_nan_is_read() -> None:
    """NaN is a value, not an error."""
    assert math.isnan(seen("m NaN")[0][1])


def test_broken_line_is_named_and_nothing_counts() -> None:
    """An error gives the line's number and its text, cleaned; also when its series was known before."""
    reader = PageReader({"m"})
    reader.read(b'm{a="b"} 1\n')
    with pytest.raises(PageError, match=r"line 3 is no sample: 'm\{a=\"b\"\} x\[2Jy'"):
        reader.read(b'm 1\n\nm{a="b"} x\x1b[2Jy\n')


def test_line_numbers_hold_past_the_first_slice() -> None:
    """The page is read in slices; a line's number counts from the page's begin."""
    body = "".join(f'm{{i="{i}"}} {i}\n' for i in range(20_000)) + "broken\n"
    with pytest.raises(PageError, match="line 20001 "):
        read_page(body.encode(), {"m"})


def test_slices_lose_nothing() -> None:
    """A page of many slices gives every sample once, in order, with and without a last newline."""
    body = "\n".join(f'm{{i="{i}"}} {i}' for i in range(20_000))
    for end in ("", "\n"):
        assert [value for _, value, _ in read_page((body + end).encode(), {"m"})] == list(range(20_000))


def test_openmetrics() -> None:
    """OpenMetrics: seconds for times, exemplars passed over, and a page without its end is cut short."""
    text = (
        "# TYPE m histogram\n"
        'm_bucket{le="1"} 3 # {trace_id="a b # {} "} 0.5 1700000000.5\n'
        'm_bucket{le="+Inf"} 4 1700000000.5 # {t="x"} 2\n'
        'm_bucket{le="2"} 5 1700000001\n'
        "# EOF\n"
    )
    assert seen(text, OPEN, "m_bucket") == [
        ({"le": "1"}, 3.0, None),
        ({"le": "+Inf"}, 4.0, 1700000000.5),
        ({"le": "2"}, 5.0, 1700000001.0),
    ]
    with pytest.raises(PageError, match="cut short"):
        read_page(b"m 1\n", {"m"}, OPEN)


def test_value_changes_and_the_series_stays() -> None:
    """The second reading of a page returns the same series with new values, whatever stands between."""
    reader = PageReader({"m"})
    (first, *_), *_ = reader.read(b'm{a="b"} 1\n')
    for body in (b'm{a="b"} 2\n', b'm{a="b"} 2 1700000000000\n', b'm { a="b" }  2\n'):
        ((again, value, _),) = reader.read(body)
        assert (again.identity, value) == (first.identity, 2.0)


def test_order_of_labels_does_not_matter() -> None:
    """The same labels in another order are the same series; other labels that read alike are another."""
    pairs = read_page(b'm{a="1",b="2"} 1\nm{b="2",a="1"} 1\nm{a="1,b=2"} 1\n', {"m"})
    identities = [series.identity for series, _, _ in pairs]
    assert identities[0] == identities[1] != identities[2]


def test_a_known_odd_start_does_not_swallow_another_line() -> None:
    """What was learnt of one unusual line is not used for a different one that begins alike."""
    reader = PageReader({"m"})
    assert reader.read(b'm{a = "b"}\t12\n')[0][1] == 12.0
    ((series, value, _),) = reader.read(b'm{a = "c"}\t13\n')
    assert (series.labels, value) == ({"a": "c"}, 13.0)
    assert reader.read(b'{"m", a="b 3"}\t7\n')[0][1] == 7.0
    with pytest.raises(PageError, match="line 1"):
        reader.read(b'{"m", a="b 9\n')


def test_unwanted_metrics_are_skipped_but_their_form_is_checked() -> None:
    """Only wanted names come back; a line that is no sample at all is still an error."""
    assert seen('other{a="b"} 1\nm 2\n') == [({}, 2.0, None)]
    with pytest.raises(PageError, match="line 1"):
        read_page(b"other{ 1\n", {"m"})


def test_what_is_known_stays_bounded() -> None:
    """Labels that never come back are forgotten, so a page with churn does not fill the memory."""
    reader = PageReader({"m"})
    for scrape in range(60):
        reader.read("".join(f'm{{i="{scrape}-{i}"}} 1\n' for i in range(100)).encode())
        assert len(reader._known) <= 5 * 100 + 1000


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (b"<!DOCTYPE html><p>Sign in", "text/plain"),
        (b"\n <HTML>", ""),
        (b"m 1\n", "text/html; charset=utf-8"),
    ],
)
def test_html_is_no_metrics_page(body: bytes, content_type: str) -> None:
    """A login or landing page is named as what it is."""
    with pytest.raises(PageError, match=r"^this is no metrics page: it answers HTML"):
        read_page(body, {"m"}, content_type)


def test_not_utf8() -> None:
    """Bytes that are no UTF-8 are an error with a sentence."""
    with pytest.raises(PageError, match="no UTF-8"):
        read_page(b'm{a="\xff"} 1\n', {"m"})


def test_hostile_lines_cost_little() -> None:
    """A 10,000-character label is read; a line past the limit never reaches the careful parser."""
    long = "x" * 10_000
    assert seen(f'm{{a="{long}"}} 1\n') == [({"a": long}, 1.0, None)]
    hostile = '{"m",a="' + '\\"' * 2_000_000
    with pytest.raises(PageError, match="characters; at most"):
        read_page(hostile.encode(), {"m"})


def test_unpacked() -> None:
    """gzip is unpacked; a cut, damaged, huge or unknown body is a sentence."""
    body = b"m 1\n" * 1000
    packed = gzip.compress(body)
    assert unpacked(packed, "gzip") == unpacked(body, "") == unpacked(body, "identity") == body
    for wrong, encoding, said in (
        (packed[:-20], "gzip", "cut short"),
        (b"", "gzip", "cut short"),
        (b"\x00" + packed, "gzip", "damaged"),
        (zlib.compress(body), "br", "only gzip"),
        (gzip.compress(b"\n" * (MAX_PAGE_BYTES + 1)), "gzip", "longer than 16 MB"),
    ):
        with pytest.raises(PageError, match=said):
            unpacked(wrong, encoding)


def test_the_usual_form_needs_no_library(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lines of the usual form never reach the careful parser: it is twenty times slower."""

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("the careful parser was asked")

    monkeypatch.setattr(page_module.PageReader, "_read_odd", refuse)
    assert len(seen('m{a="x\\"y",b="é"} 1 1700000000000\nm 2\nm{} NaN\n')) == 3
