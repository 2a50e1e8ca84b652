"""A real Prometheus that knows a past which the test decides: text, made into blocks by promtool."""

import math
import subprocess
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.promtool import promtool

BUCKETS = (0.3, 0.5, 0.8, 1.0, 1.5, 2.0, 2.5, 5.0, 10.0, 15.0, 20.0, 30.0, 40.0, 50.0, 60.0, 120.0)
"""Upper bounds of vLLM's queue time. Source: vllm/v1/metrics/loggers.py."""

CONFIG = '{"global": {}, "scrape_configs": []}'


def back_filled(folder: Path, lines: Iterable[str]) -> Path:
    """A storage folder, in `folder`, with the samples of these lines of OpenMetrics (without `# EOF`)."""
    text, data = folder / "past.om", folder / "data"
    with text.open("w", encoding="utf-8") as file:
        for line in lines:
            file.write(line + "\n")
        file.write("# EOF\n")
    # In blocks of two hours, as is usual, promtool would read the text of a day twelve times.
    blocks = ["create-blocks-from", "openmetrics", "--max-block-duration=54h"]
    command = [promtool(), "tsdb", *blocks, str(text), str(data)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    text.unlink()
    return data


@dataclass(frozen=True)
class Fleet:
    """Engines like vLLM's, whose numbers are functions of time: one engine for each model and tier.

    start: seconds since the epoch; step_s: between two scrapes; gaps: (from, to) in which nothing was scraped
    scraped: with `up`, as of engines that a Prometheus scraped itself
    """

    models: int
    tiers: Sequence[str]
    start: float
    seconds: float
    step_s: float = 15.0
    gaps: Sequence[tuple[float, float]] = ()
    scraped: bool = True
    without: Callable[[int, float], bool] = field(default=lambda model, at: False)

    def times(self) -> Iterator[float]:
        """When it was scraped."""
        for number in range(int(self.seconds / self.step_s) + 1):
            at = self.start + number * self.step_s
            if not any(begin <= at < end for begin, end in self.gaps):
                yield at

    def waiting(self, model: int, tier: int, at: float) -> int:
        """Requests that wait."""
        return round(10 + 8 * math.sin(at / 600 + model) + 3 * tier)

    def running(self, model: int, tier: int, at: float) -> int:
        """Requests that run."""
        return round(20 + 10 * math.cos(at / 900 + model) + tier)

    def finished(self, model: int, tier: int, at: float) -> float:
        """Requests that ever finished: 40 to 60 a second."""
        since = at - self.start
        return 50 * since + 10 * 300 * (1 - math.cos(since / 300 + model + tier))

    def lines(self) -> Iterator[str]:
        """The samples, one family after the other, as OpenMetrics wants them."""
        times = list(self.times())
        if self.scraped:
            yield "# TYPE up gauge"
            for labels, model, _ in self._engines():
                for at in times:
                    if not self.without(model, at):
                        yield f"up{{{labels}}} 1 {at:.3f}"
        gauges: Mapping[str, Callable[[int, int, float], float]] = {
            "vllm:num_requests_running": self.running,
            "vllm:num_requests_waiting": self.waiting,
        }
        for name, value in gauges.items():
            yield f"# TYPE {name} gauge"
            yield from self._samples(times, lambda labels: f"{name}{{{labels}}}", value)  # noqa: B023  # used at once
        yield "# TYPE vllm:generation_tokens counter"
        yield from self._samples(
            times, lambda labels: f"vllm:generation_tokens_total{{{labels}}}", self._tokens
        )
        yield "# TYPE vllm:request_queue_time_seconds histogram"
        for labels, model, tier in self._engines():
            for at in times:
                if self.without(model, at):
                    continue
                count = self.finished(model, tier, at)
                below = 0.0
                for place, bound in enumerate((*BUCKETS, math.inf)):
                    below = count * (1 - 0.5 ** (place + 1)) if math.isfinite(bound) else count
                    le = f"{bound:g}" if math.isfinite(bound) else "+Inf"
                    yield f'vllm:request_queue_time_seconds_bucket{{{labels},le="{le}"}} {below:.3f} {at:.3f}'
                yield f"vllm:request_queue_time_seconds_count{{{labels}}} {count:.3f} {at:.3f}"
                yield f"vllm:request_queue_time_seconds_sum{{{labels}}} {count * 0.6:.3f} {at:.3f}"

    def _tokens(self, model: int, tier: int, at: float) -> float:
        return 300 * self.finished(model, tier, at)

    def _engines(self) -> Iterator[tuple[str, int, int]]:
        for model in range(self.models):
            for tier, name in enumerate(self.tiers):
                where = f'job="vllm",instance="{model}-{tier}:8000"'
                yield f'model_name="acme/m-{model:02}",namespace="{name}",{where}', model, tier

    def _samples(
        self,
        times: Sequence[float],
        series: Callable[[str], str],
        value: Callable[[int, int, float], float],
    ) -> Iterator[str]:
        for labels, model, tier in self._engines():
            for at in times:
                if not self.without(model, at):
                    yield f"{series(labels)} {value(model, tier, at):.3f} {at:.3f}"


CONTEXT = """
[contexts.past]
prometheus = "{url}"
tiers = [{tiers}]

[contexts.past.objectives]
{first} = 2.0

[[contexts.past.identity.tiers]]
label = "namespace"
regex = "(.+)"
tier = "$1"
"""


def context_toml(url: str, tiers: Sequence[str]) -> str:
    """A configuration that reads such a fleet: an engine's namespace is its tier."""
    names = ", ".join(f'"{one}"' for one in tiers)
    return CONTEXT.format(url=url, tiers=names, first=tiers[0])


@contextmanager
def remembering(folder: Path, lines: Iterable[str], *options: str) -> Iterator[str]:
    """A real Prometheus that knows these samples and scrapes nothing; its base URL."""
    from tests.integration.conftest import _binary, _start

    folder.mkdir(exist_ok=True)
    back_filled(folder, lines)
    kept = ("--storage.tsdb.retention.time=400d", *options)
    process, url = _start(_binary(), folder, CONFIG, "", None, kept)
    try:
        yield url
    finally:
        process.kill()
        process.wait()
