"""What a role says of itself over its operations listener, read from beside it: its state and its metrics.

What lives here: `scrape`, `ask` and `Metrics`. Short waits, bounded answers: a role that hangs is news, not a
reason to hang as well.
"""

import http
import http.client
import math
from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

from prometheus_client.parser import text_string_to_metric_families

from gateway.base.config import Endpoint, parse_address
from gateway.base.errors import TallygateError

# Seconds for one answer: a role that cannot say "ok" in that time does not serve boxes or readers either.
ANSWER_SECONDS: Final = 2.0
# Bytes of an answer; a role's metrics have some 20 KiB.
MAX_ANSWER: Final = 1_048_576

_Labels = frozenset[tuple[str, str]]


class Metrics:
    """The samples of one scrape.

    Args:
        samples: name, labels, value.
    """

    def __init__(self, samples: Iterable[tuple[str, Mapping[str, str], float]] = ()) -> None:
        self._samples: dict[str, dict[_Labels, float]] = {}
        for name, labels, value in samples:
            self._samples.setdefault(name, {})[frozenset(labels.items())] = value

    def value(self, name: str, **labels: str) -> float | None:
        """One sample; None: there is none such, or it is no number."""
        found = self._samples.get(name, {}).get(frozenset(labels.items()))
        return None if found is None or math.isnan(found) else found

    def total(self, name: str) -> float | None:
        """The sum over all labels; None: there is no such metric."""
        found = self._samples.get(name)
        return None if found is None else sum(found.values())

    def by_label(self, name: str, label: str) -> dict[str, float]:
        """The samples of a metric with one label."""
        return {
            value: sample
            for labels, sample in self._samples.get(name, {}).items()
            for key, value in labels
            if key == label
        }

    def quantile(self, name: str, share: float) -> float | None:
        """The upper edge of the histogram's bucket that has the quantile; infinite above the last edge.

        Returns:
            None: there is no such histogram, or nothing in it.
        """
        buckets = sorted(
            (float(edge), number) for edge, number in self.by_label(f"{name}_bucket", "le").items()
        )
        if not buckets or not buckets[-1][1]:
            return None
        wanted = share * buckets[-1][1]
        return next(edge for edge, number in buckets if number >= wanted)


class Scrape(NamedTuple):
    """A role's answer.

    Attributes:
        state: what ``/readyz`` says; None: nobody answers there.
        metrics: empty without an answer.
    """

    state: str | None
    metrics: Metrics


def scrape(address: str) -> Scrape:
    """Asks a role for its state and metrics; whatever goes wrong is no answer."""
    try:
        endpoint = parse_address(address)
        state = _get(endpoint, "/readyz").strip()
        samples = [
            (sample.name, sample.labels, sample.value)
            for family in text_string_to_metric_families(_get(endpoint, "/metrics"))
            for sample in family.samples
        ]
    except (OSError, http.client.HTTPException, ValueError, TallygateError):
        return Scrape(None, Metrics())
    return Scrape(state, Metrics(samples))


def ask(address: str, path: str) -> bytes | None:
    """What a role's operations listener tells about a path; None: nobody answers, or not with 200."""
    try:
        return _read(parse_address(address), path, good=True)
    except (OSError, http.client.HTTPException, TallygateError):
        return None


def _get(endpoint: Endpoint, path: str) -> str:
    return _read(endpoint, path, good=False).decode(errors="replace")


def _read(endpoint: Endpoint, path: str, *, good: bool) -> bytes:
    """The body of an answer; where `good`, of none but 200."""
    connection = http.client.HTTPConnection(endpoint.host, endpoint.port, timeout=ANSWER_SECONDS)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        if good and response.status != http.HTTPStatus.OK:
            raise http.client.HTTPException(f"status {response.status}")
        return response.read(MAX_ANSWER)
    finally:
        connection.close()
