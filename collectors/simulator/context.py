"""What others need to watch this fleet: the context of a configuration, and a prometheus.yml."""

import json
from collections.abc import Sequence

from collectors.simulator.exporter import Page
from collectors.simulator.scenario import Scenario

SCRAPE_INTERVAL_S = 5


def context_toml(scenario: Scenario, base_url: str) -> str:
    """The `[contexts.demo]` that fits the scenario's fleet, whose plane is at `base_url`."""
    fleet = scenario.fleet
    served = fleet.served()
    lines = [
        "[contexts.demo]",
        "simulated = true",
        f"plane = {_text(base_url)}",
        f"tiers = [{', '.join(_text(tier.name) for tier in fleet.tiers)}]",
        f"tier_titles = {{ {', '.join(f'{_text(t.name)} = {_text(t.title)}' for t in fleet.tiers)} }}",
        "",
        "[contexts.demo.objectives]",
        *(f"{_text(tier.name)} = {tier.objective_s}" for tier in fleet.tiers),
    ]
    for name, spec in served.items():
        if spec.objectives:
            lines += ["", f"[contexts.demo.objectives.models.{_text(name)}]"]
            lines += [f"{_text(tier)} = {seconds}" for tier, seconds in spec.objectives.items()]
    priorities = ", ".join(f"{_text(str(tier.priority))} = {_text(tier.name)}" for tier in fleet.tiers)
    lines += [
        "",
        "[contexts.demo.identity]",
        f"priority = {{ {priorities} }}",
        "",
        "[[contexts.demo.identity.features]]",
        'label = "fairness_id"',
        'regex = "(.+)"',
        'feature = "$1"',
    ]
    for name, spec in served.items():
        for pool in spec.pools:
            kind = fleet.kinds[pool.kind].model_name
            lines += [
                "",
                "[[contexts.demo.pools]]",
                f"name = {_text(f'{name}/{pool.kind}')}",
                f"kind = {_text(pool.kind)}",
                f"match = {{ workload = {_text(name)}, modelName = {_text(kind)} }}",
                f"stands_for = {pool.stands_for!r}",
            ]
    return "\n".join(lines) + "\n"


def prometheus_yaml(pages: Sequence[Page], address: str) -> str:
    """A prometheus.yml that scrapes these pages at `address` (host:port), with labels as Kubernetes service
    discovery gives them."""
    lines = ["global:", f"  scrape_interval: {SCRAPE_INTERVAL_S}s", "scrape_configs:"]
    for job in dict.fromkeys(page.job for page in pages):
        lines += [f"  - job_name: {_text(job)}", "    static_configs:"]
        for page in pages:
            if page.job != job:
                continue
            labels = {"__metrics_path__": page.path, **page.labels}
            del labels["job"]
            lines += [f"      - targets: [{_text(address)}]", "        labels:"]
            lines += [f"          {name}: {_text(value)}" for name, value in labels.items()]
    return "\n".join(lines) + "\n"


def _text(value: str) -> str:
    """A string as both TOML and YAML write it."""
    return json.dumps(value)
