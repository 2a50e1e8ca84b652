"""One definition, two evaluators, one answer, judged by a real server.

A real Prometheus scrapes the sample pages while their counters advance, restart and lose series. The same
pages, at the times at which Prometheus says it scraped them, are read here. Every definition must then have
the same groups with the same values, at several times and windows.
"""

import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import pytest

from collectors.prometheus.answer import rows
from collectors.prometheus.wire import Sample
from collectors.scrape.evaluate import evaluate
from collectors.scrape.history import TargetHistory
from collectors.scrape.page import PageError, PageReader
from collectors.signals.catalogue import Buckets, Definition, Derive, Matcher, Metric, Row
from collectors.signals.presets import read_presets
from collectors.signals.promql import render, series_name
from tests.integration.conftest import SAMPLES, Page, StartPrometheus, asked, sample, until

pytestmark = pytest.mark.slow

SCRAPES = 14
NUMBER = "scrape_number"
BROKEN = "this is { broken\n"
EARLY_S = 0.3
WINDOWS_S = (4.0, 7.5, 20.0)
_SAMPLE = re.compile(r"^([a-zA-Z_:][^#\s{]*(?:\{.*\})?) (\S+)$", re.MULTILINE)


@dataclass
class Told:
    """A page that changes with every scrape and remembers what it said.

    early_s: how long before its scrape it says that its samples were taken
    """

    name: str
    change: Callable[[str, int], str]
    job: str = ""
    early_s: float = 0.0
    labels: dict[str, str] = field(default_factory=dict)
    texts: list[str] = field(default_factory=list)

    def text(self) -> str:
        """The next text; its number tells later which of them a scrape brought."""
        number = len(self.texts)
        self.texts.append(f"{self.change(sample(self.name), number)}{NUMBER} {number}\n")
        return self.texts[-1]

    def page(self) -> Page:
        return Page(self.job or self.name, self.text, self.labels)


def advanced(text: str, number: int) -> str:
    """Every sample larger by a step of its own."""
    return _SAMPLE.sub(lambda m: f"{m[1]} {float(m[2]) * (1 + number * (3 + len(m[1]) % 5) / 40)!r}", text)


def restarted(text: str, number: int) -> str:
    """The same, and twice everything begins anew."""
    return advanced(text, number % 6)


def churning(text: str, number: int) -> str:
    """The same, and each line is missing at some scrapes, and a value is NaN at others."""
    kept = [
        line.rpartition(" ")[0] + " NaN"
        if not line.startswith("#") and (len(line) + number) % 29 == 0
        else line
        for i, line in enumerate(advanced(text, number).splitlines())
        if line.startswith("#") or (i + number) % 7
    ]
    return "\n".join(kept) + "\n"


def failing(text: str, number: int) -> str:
    """The same, and some scrapes are broken.

    At their begin: Prometheus 2.42 forgets to mark as stale what it read before the broken line.
    """
    good = advanced(text, number)
    return good if number % 5 != 3 else BROKEN + good


def doubled(text: str, number: int) -> str:
    """The same, and every series is there twice, with another value."""
    good = advanced(text, number)
    return good + "".join(f"{m[1]} {float(m[2]) + 17!r}\n" for m in _SAMPLE.finditer(good))


def stamped(text: str, number: int) -> str:
    """The same, and every sample says its own time."""
    now = round((time.time() - EARLY_S) * 1000)
    return _SAMPLE.sub(lambda m: f"{m[1]} {m[2]} {now}", advanced(text, number))


_NO_MODEL = Matcher("model_name", "!=", "")
MADE = (
    Definition(
        "queue_wait", "made", "engine", "histogram",
        (
            Metric("vllm:request_queue_time_seconds"),
            Metric("ray_serve_request_router_fulfillment_time_ms", factor=0.001),
        ),
        ("application", "model_name"), quantiles=(0.5,),
    ),
    Definition(
        "running", "made", "engine", "gauge",
        (
            Metric("sglang:num_running_reqs", (Matcher("priority", "=", ""),)),
            Metric("vllm:num_requests_running", (_NO_MODEL, Matcher("engine", "!~", "[1-9]")), rung="engine"),
            Metric("tgi_batch_current_size", factor=2.0, rung="batch"),
        ),
        ("model_name", "tier", "job"), aggregate="avg",
        derive=(
            Derive("tier", "priority", "(-?)([0-9]+)", "p${2}$1"),
            Derive("job", "job", "(.*)-exporter", "$1x"),
        ),
    ),
    Definition(
        "memory_ratio", "made", "accelerator", "ratio",
        (Metric("DCGM_FI_DEV_FB_USED"),), ("pod", "exported_pod"), distinct=("UUID",),
        over=(Metric("DCGM_FI_DEV_FB_USED"), Metric("DCGM_FI_DEV_FB_FREE"), Metric("no_such")),
    ),
    Definition(
        "errors", "made", "engine", "ratio",
        (Metric("nv_inference_request_failure", (Matcher("reason", "=~", "REJ.*|BACKEND"),), factor=0.5),),
        ("model",), of_rates=True,
        over=(Metric("nv_inference_request_success"), Metric("nv_inference_request_failure")),
    ),
    Definition(
        "accelerators", "made", "accelerator", "gauge", (Metric("DCGM_FI_DEV_FB_USED"),), (),
        aggregate="count", distinct=("UUID",),
    ),
)  # fmt: skip
"""What the presets may not use yet: units of bounds, several rungs, alternatives across stacks."""


def definitions() -> list[Definition]:
    return [*(one for preset in read_presets() for one in preset.definitions), *MADE]


@dataclass(frozen=True)
class Scraped:
    """What Prometheus has seen: of each page the text at every time, None for a failure."""

    url: str
    pages: Sequence[Told]
    seen: Sequence[Sequence[tuple[float, str | None]]]

    @property
    def first(self) -> Sequence[float]:
        """Times of the first page's scrapes."""
        return [at for at, _ in self.seen[0]]


@pytest.fixture(scope="module")
def scraped(prometheus: StartPrometheus) -> Scraped:
    pages = [Told(path.stem, advanced) for path in sorted(SAMPLES.glob("*.prom"))]
    pages += [
        Told("vllm", restarted, job="vllm"),
        Told("vllm", failing, job="vllm-failing"),
        Told("llm-d-epp", churning, job="epp-churning"),
        Told("sglang", doubled, job="sglang-doubled"),
        Told("triton", stamped, job="triton-stamped", early_s=EARLY_S),
        Told("dcgm-exporter", restarted, job="dcgm-pods", labels={"pod": "exporter-7", "namespace": "gpu"}),
        Told(
            "llm-d-epp", advanced, job="epp-clash", labels={"model_name": "mine", "exported_model_name": "x"}
        ),
    ]
    url = prometheus([page.page() for page in pages], interval="1s")
    last = labels_of(len(pages) - 1, pages[-1])["instance"]
    stored = f'count_over_time(up{{instance="{last}"}}[5m]) >= {SCRAPES}'
    until(lambda: bool(asked(url, stored)), f"{SCRAPES} scrapes", 60)
    # Every page must have been scraped past the last moment that is asked at, or what was seen is not all.
    past = seen_of(url, 0, pages[0])[12][0] + 1.5
    until(lambda: bool(asked(url, f"min(timestamp(up)) > {past}")), "every page scraped past the end", 60)
    return Scraped(url, pages, [seen_of(url, number, page) for number, page in enumerate(pages)])


def labels_of(number: int, page: Told) -> dict[str, str]:
    """Target labels, as the server's configuration gives them."""
    job = page.job or page.name
    return {"job": job, "instance": f"{job}:{number}", **page.labels}


def seen_of(url: str, number: int, page: Told) -> list[tuple[float, str | None]]:
    """All scrapes of a page with the text that each brought."""
    where = f'{{instance="{labels_of(number, page)["instance"]}"}}[5m]'
    (up,) = asked(url, f"up{where}")
    (numbers,) = asked(url, f"{NUMBER}{where}")
    text = {at: page.texts[int(value)] for at, value in numbers["values"]}
    return [(float(at), text[at] if value == "1" else None) for at, value in up["values"]]


def history(
    page: Told, number: int, seen: Sequence[tuple[float, str | None]], at: float, wanted: frozenset[str]
) -> TargetHistory:
    """The page as it was read here until `at`."""
    found = TargetHistory(labels_of(number, page))
    reader = PageReader(wanted)
    for when, text in seen:
        # What a later scrape says of a time before, Prometheus knew at that time when it is asked now.
        if when - page.early_s > at:
            break
        if text is None:
            found.fail()
        else:
            found.record(reader.read(text.encode()), round(when * 1000), 600_000)
    return found


def comparable(found: Sequence[Row]) -> dict[tuple[tuple[str, str], ...], tuple[object, str]]:
    """Rows by labels, values for pytest.approx."""
    return {tuple(sorted(row.labels.items())): (row.value, row.rung) for row in found}


def agree(mine: float | Buckets, theirs: float | Buckets) -> bool:
    if isinstance(mine, Buckets) or isinstance(theirs, Buckets):
        return (
            isinstance(mine, Buckets)
            and isinstance(theirs, Buckets)
            and mine.bounds == theirs.bounds
            and mine.rates == pytest.approx(theirs.rates, rel=1e-9, abs=1e-12)
        )
    return mine == pytest.approx(theirs, rel=1e-9, abs=1e-12, nan_ok=True)


def differences(
    scraped: Scraped, at: float, window_s: float, only: int | None = None
) -> tuple[list[str], int, set[str]]:
    """Sentences about what differs, rows compared, and signals that had any."""
    wanted = frozenset(
        series_name(one, metric) for one in definitions() for metric in (*one.metrics, *one.over)
    )
    chosen = [
        history(page, number, seen, at, wanted)
        for number, (page, seen) in enumerate(zip(scraped.pages, scraped.seen, strict=True))
        if only is None or number == only
    ]
    selector = [] if only is None else [Matcher("instance", "=", chosen[0].labels["instance"])]
    wrong, compared, answered = [], 0, set()
    for one in definitions():
        query = render(one, window_s=window_s, selector=selector)
        samples = [Sample(e["metric"], tuple(e["value"])) for e in asked(scraped.url, query, at)]
        theirs = comparable(rows(one, samples))
        mine = comparable(evaluate(one, chosen, at, window_s))
        name = f"{one.stack} {one.signal} ({one.lane}) at +{at - scraped.first[0]:.3f} over {window_s} s"
        if mine.keys() != theirs.keys():
            wrong.append(
                f"{name}: only here {mine.keys() - theirs.keys()}, only there {theirs.keys() - mine.keys()}"
            )
        for key in mine.keys() & theirs.keys():
            compared += 1
            answered.add(f"{one.stack} {one.signal}")
            if mine[key][1] != theirs[key][1] or not agree(mine[key][0], theirs[key][0]):  # type: ignore[arg-type]  # values of rows
                wrong.append(f"{name} {dict(key)}: {mine[key]} here, {theirs[key]} there")
    return wrong, compared, answered


def moments(scraped: Scraped) -> list[float]:
    """Times to ask at: on a scrape, just before and after one, between two."""
    first = scraped.first
    return [first[3], first[7] + 0.001, first[9] - 0.001, first[11] + 0.437, first[12] + 0.9]


@pytest.mark.parametrize("window_s", WINDOWS_S)
def test_all_pages_together(scraped: Scraped, window_s: float) -> None:
    """Every definition over all pages: sums over targets, alternatives across them, label clashes."""
    seen: set[str] = set()
    for at in moments(scraped):
        wrong, compared, answered = differences(scraped, at, window_s)
        assert not wrong, "\n".join(wrong[:20])
        assert compared > 100
        seen |= answered
    # Without these the comparison would prove little.
    assert {"vllm queue_wait", "endpoint-picker waiting", "dcgm busy_ratio", "made errors"} <= seen


def test_what_the_server_refuses_is_refused(scraped: Scraped) -> None:
    """The broken page is down for both, whole, and no other is."""
    for page, seen in zip(scraped.pages, scraped.seen, strict=True):
        failed = sum(text is None for _, text in seen)
        if page.change is not failing:
            continue
        assert failed >= 2
        with pytest.raises(PageError, match="line "):
            PageReader(()).read(next(text for text in page.texts if BROKEN in text).encode())


PAGES = 18


@pytest.mark.parametrize("number", range(PAGES))
def test_every_page_alone(scraped: Scraped, number: int) -> None:
    """Every definition on each page by itself, as another page's series could hide a lost one."""
    assert len(scraped.pages) == PAGES
    at = moments(scraped)[3]
    for window_s in (7.5, 20.0):
        wrong, _, _ = differences(scraped, at, window_s, only=number)
        assert not wrong, "\n".join(wrong[:20])
