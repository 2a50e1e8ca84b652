"""What a VictoriaMetrics does otherwise than a Prometheus, and how it is asked all the same. Pure.

Sources, read at 1.79 and later: app/vmselect/prometheus/prometheus.go, QueryHandler and `latencyOffset`;
app/vmselect/promql/transform.go, labelReplace; lib/httpserver, the header.
"""

from collections.abc import Iterable, Mapping

from collectors.prometheus.wire import Sample

FRESH: Mapping[str, str] = {"nocache": "1"}
"""Parameters of an instant query that is answered for the time it asks for.

Without them it is answered for 30 s ago (-search.latencyOffset), and called the answer for now.
"""

LABEL_QUESTION = 'label_replace(vector(1), "tidegate_made", "made", "tidegate_absent", "some")'
"""Makes no label. Up to 1.79 it makes one without a text, or with one that other series left behind."""


def is_victoria_metrics(headers: Mapping[str, str]) -> bool:
    """Whether an answer comes from one, or from vmauth before it. What else sets that header is asked with
    parameters that it does not know, and leaves them alone."""
    return "X-Server-Hostname" in headers


def makes_labels_up(samples: Iterable[Sample]) -> bool:
    """The answer to `LABEL_QUESTION`, read: True if `label_replace` makes labels that it should not make."""
    return any("tidegate_made" in one.metric for one in samples)
