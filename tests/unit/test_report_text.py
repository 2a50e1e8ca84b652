"""Reports as text and as a page: what comes from outside does nothing there, and what is drawn is true."""

import re
from dataclasses import replace
from html import unescape
from html.parser import HTMLParser
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from collectors.fleet import LastChange
from collectors.recording.report.document import Card, Document, Picture
from collectors.recording.report.facts import gather
from collectors.recording.report.markdown import escaped, render_markdown
from collectors.recording.report.page import render_page
from collectors.recording.report.telling import document
from collectors.sessions import Gap, Mark, View
from collectors.text import clean
from tests.reported import ABORTED, AT, OPEN, Kept, applied, both, facts, incident, kept, throttling

HOSTILE = (
    "<script>alert(1)</script>",
    "</title></svg><img src=x onerror=alert(1)>",
    "\x1b]0;owned\x07\x1b[31mred",
    "[/link] [click](javascript:alert(1)) ![x](http://evil/x.png)",
    "`code` ``` **bold** __b__ ~~s~~ | cell | {{ 7*7 }} $x$",
    "# heading\n- list\n1. one\n> quote\n---",
    "http://evil.example/x www.evil.example",
    "\u202etxt.exe &lt; &amp; \"'",
    "n" * 5000,
)


class _Page(HTMLParser):
    """Elements, attributes and texts of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.texts: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def hostile(text: str) -> Kept:
    """The incident with `text` wherever text from outside can stand."""
    frames = []
    for one in incident():
        models = tuple(replace(m, name=text, features=(text,)) for m in one.models)
        alerts = tuple(replace(a, model=text, summary=text, name=text) for a in one.alerts)
        events = tuple(replace(e, actor=text, subject=text, text=text) for e in one.events)
        throttles = tuple(
            replace(
                t,
                feature=text,
                tier=text,
                last_change=t.last_change and t.last_change._replace(actor=text, reason=text),
            )
            for t in one.throttles
        )
        release = replace(OPEN if one.at < AT + 300 else ABORTED, id=text, stable=text, subject_kind="model")
        shares = tuple(each._replace(tier=text) for each in release.exposure[1:2])
        by = LastChange(text, "release.abort", text, text, one.at) if one.at >= AT + 300 else OPEN.last_change
        releases = (replace(release, candidate=text, exposure=shares, last_change=by),)
        told = {"models": models, "alerts": alerts, "events": events, "throttles": throttles}
        frames.append(replace(one, **told, releases=releases, context=text))
    intent = throttling(text)
    intent = replace(intent, target=intent.target._replace(id=text, tier=text), ticket=text)
    recording = Kept(frames).looked(AT, View("model", text, dialog=text, filter=text))
    recording.asked(AT + 420, intent, text).became(AT + 421, replace(applied(intent, AT), text=text))
    longer = replace(intent, arguments={"level": 1.0, "expires_at": text}, key="k", decision_id="d")
    recording.asked(AT + 500, longer, text)
    recording.facts = {"context": text, "app": text, "host": text, "zone": text, "redaction": text}
    recording.notices, recording.gaps = (text,), (Gap(AT + 30, AT + 90, text),)
    return recording.marked(Mark(AT + 100, text, text))


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_text_is_inert_in_a_page(text: str) -> None:
    """No element, attribute or address of its making; nothing of it reaches a terminal either."""
    page = render_page(document(gather(hostile(text), text)))
    read = _Page()
    read.feed(page)
    assert set(read.tags) <= _TAGS
    assert not {name for name, _ in read.attributes if name in _NEVER or name.startswith("on")}
    assert not [c for c in page if ord(c) < 32 and c != "\n"]
    assert "\u202e" not in page
    for drawing in re.findall(r"<svg.*?</svg>", page, re.DOTALL):
        ElementTree.fromstring(drawing)


_TAGS = frozenset(
    {
        *("html", "head", "meta", "title", "style", "body", "main", "header", "h1", "h2", "h3", "p", "span"),
        *("strong", "section", "dl", "div", "dt", "dd", "ul", "li", "article", "figure", "figcaption"),
        *("table", "thead", "tbody", "tr", "th", "td"),
        *("svg", "defs", "pattern", "path", "rect", "circle", "text", "g", "clippath"),
    }
)
_NEVER = frozenset({"href", "src", "style", "xlink:href", "action", "srcset", "formaction"})


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_text_is_inert_in_markdown(text: str) -> None:
    """Rendered with HTML and links allowed: no markup but ours comes of it."""
    found = document(gather(hostile(text), text))
    written = render_markdown(found)
    assert not [c for c in written if ord(c) < 32 and c != "\n"]
    tokens = MarkdownIt("commonmark", {"html": True, "linkify": False}).enable(["table", "strikethrough"])
    kinds = set()
    for token in tokens.parse(written):
        kinds.add(token.type)
        kinds |= {child.type for child in token.children or ()}
    assert not kinds & _MARKUP
    prose = re.sub(r"```text\n.*?\n```", "", written, flags=re.DOTALL)
    assert "://" not in prose
    assert "www." not in prose
    headings = [t for t in tokens.parse(written) if t.type == "heading_open"]
    assert len(headings) == 1 + len(found.sections) + _headed(found)


_MARKUP = frozenset(
    {
        *("html_block", "html_inline", "link_open", "image", "em_open", "s_open", "code_inline"),
        *("blockquote_open", "ordered_list_open", "hr"),
    }
)
"""What a reader of Markdown makes of markup that reports have none of."""


def _headed(found: Document) -> int:
    blocks = [block for section in found.sections for block in section.blocks]
    return sum(isinstance(block, Card | Picture) for block in blocks)


@settings(deadline=None)
@given(st.text(max_size=60))
def test_any_text_is_shown_as_it_is(text: str) -> None:
    """What a reader of Markdown shows of an escaped text is that text, cleaned, and nothing but text."""
    shown = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"]).parse(escaped(text))
    inline = [child for token in shown for child in token.children or ()]
    assert {child.type for child in inline} <= {"text", "softbreak", "text_special"}
    said = "".join(child.content for child in inline)
    assert said.split() == clean(text).split()


def test_both_forms_say_the_same() -> None:
    """Every sentence and every cell of the Markdown stands in the page too."""
    found = document(facts())
    read = _Page()
    read.feed(render_page(found))
    told = set(read.texts)
    for section in found.sections:
        assert section.title in told
        for block in section.blocks:
            for row in getattr(block, "rows", ()):
                assert {cell.text for cell in row if cell.text} <= told


def test_the_page_lets_nothing_in() -> None:
    """Its policy allows its own style sheet by digest, and nothing else: no script, no address at all."""
    page = both()[1]
    policy = re.search(r'Content-Security-Policy" content="([^"]+)"', page)
    assert policy is not None
    parts = unescape(policy[1]).split("; ")
    assert parts[0] == "default-src 'none'"
    assert re.fullmatch(r"style-src 'sha256-[A-Za-z0-9+/]{43}='", parts[1])
    assert "<script" not in page
    assert "http" not in page.replace("http-equiv", "")
    assert "url(#" in page


def test_no_line_is_drawn_through_a_gap() -> None:
    """Of every line and band in the page, none begins before a gap and ends behind it."""
    recording = kept([one for one in incident() if not AT + 300 < one.at < AT + 360])
    recording.gaps = (Gap(AT + 301, AT + 360, "lost"),)
    page = both(recording)[1]
    gap = re.search(r'class="gap" x="([\d.]+)" y="[\d.]+" width="([\d.]+)"', page)
    assert gap is not None
    left, right = float(gap[1]), float(gap[1]) + float(gap[2])
    paths = re.findall(r'<path class="(?:line|band|over|asked)"[^>]* d="([^"]+)"', page)
    assert len(paths) >= 6
    for path in paths:
        xs = [float(x) for x in re.findall(r"[MH]([\d.]+)", path)]
        # A point is three units wide: one that a gap begins or ends in is drawn whole.
        assert max(xs) <= left + 3.1 or min(xs) >= right - 3.1


def _luminance(colour: str) -> float:
    parts = [int(colour[n : n + 2], 16) / 255 for n in (1, 3, 5)]
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def test_text_is_legible_in_light_dark_and_print() -> None:
    """Every colour that text is written in has a contrast of 4.5 on its paper."""
    style = both()[1].split("<style>")[1].split("</style>")[0]
    schemes = [
        dict(re.findall(r"--(\w+): (#[0-9a-f]{3,8});", block))
        for block in re.findall(r":root \{([^}]+)\}", style)
    ]
    assert len(schemes) == 3
    for scheme in schemes:
        full = {k: v if len(v) > 4 else "#" + "".join(c * 2 for c in v[1:]) for k, v in scheme.items()}
        for paper in ("paper", "card"):
            for ink in ("ink", "soft", "bad", "warn", "good", "line"):
                light, dark = sorted((_luminance(full[paper]), _luminance(full[ink])), reverse=True)
                assert (light + 0.05) / (dark + 0.05) >= 4.5, (ink, paper, full[ink], full[paper])
