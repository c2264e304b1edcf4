"""What Prometheus reads from the process `ingest`: names, help and buckets (docs/operations.md).

What lives here: the metrics and their registry, passed in to whoever counts. Labels are bounded: never a
station, a device or an address.
"""

from collections.abc import Sequence
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.gc_collector import GCCollector
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector

# Seconds, with edges at what is promised: an upload within its deadline of ten, a commit well below one.
UPLOAD_BUCKETS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
COMMIT_BUCKETS: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0)
BATCH_BUCKETS: Final = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)

# accepted; displaced: closed for a newcomer; waited: newcomers had to, for every slot was an authenticated
# connection's; no_files: likewise, for there was no file; replaced: closed for a newer one of the same
# holder; cut_off: ended by the client within a request; fault: ended by a fault of the program.
CONNECTION_RESULTS: Final = (
    "accepted",
    "displaced",
    "waited",
    "no_files",
    "replaced",
    "cut_off",
    "fault",
)
HANDSHAKE_RESULTS: Final = (
    "ok",
    "expired",
    "revoked",
    "unknown_ca",
    "no_certificate",
    "timeout",
    "protocol",
)

# Outcomes of the ledger, and every code that the sequencer refuses with.
STATEMENT_OUTCOMES: Final = (
    "accepted",
    "duplicate",
    "conflict",
    "statement.malformed",
    "statement.unknown_device",
    "statement.signature",
    "statement.too_early",
    "identity.role",
    "identity.device",
    "identity.area",
    "limit.device",
    "limit.overload",
    "log.not_open",
    "server.fault",
)
LEDGER_OPERATIONS: Final = ("append", "read")


class IngestMetrics:
    """The metrics of one process `ingest`.

    Args:
        version: of Tallygate.
        process: whether this process's own figures (memory, open files, garbage) belong to it; a test that
            makes several registries leaves them out.
    """

    def __init__(self, version: str, *, process: bool = True) -> None:
        registry = CollectorRegistry()
        self.registry: Final = registry
        self.connections: Final = Counter(
            "tallygate_connections",
            "Connections to the box port: accepted, and what happened to some of them.",
            ["result"],
            registry=registry,
        )
        self.open_connections: Final = Gauge(
            "tallygate_open_connections", "Connections to the box port that are open now.", registry=registry
        )
        self.connections_limit: Final = Gauge(
            "tallygate_open_connections_limit", "The cap of open connections.", registry=registry
        )
        self.handshakes: Final = Counter(
            "tallygate_tls_handshakes",
            "TLS handshakes on the box port, by result.",
            ["result"],
            registry=registry,
        )
        self.statements: Final = Counter(
            "tallygate_statements",
            "Uploaded statements, by outcome or code of refusal.",
            ["outcome"],
            registry=registry,
        )
        self.requests_refused: Final = Counter(
            "tallygate_requests_refused",
            "Requests that the box port itself refused, by code.",
            ["code"],
            registry=registry,
        )
        self.uploads: Final = Histogram(
            "tallygate_upload_duration_seconds",
            "From the whole request to its answer.",
            buckets=UPLOAD_BUCKETS,
            registry=registry,
        )
        self.inflight: Final = Gauge(
            "tallygate_inflight_uploads", "Uploads that wait for their answer.", registry=registry
        )
        self.queue_limit: Final = Gauge(
            "tallygate_inflight_uploads_limit",
            "Uploads that may wait; more are told to come later.",
            registry=registry,
        )
        self.faults: Final = Counter(
            "tallygate_faults", "Faults of the program that a request or connection met.", registry=registry
        )
        self.commit: Final = Histogram(
            "tallygate_ledger_commit_seconds",
            "One transaction of the ledger, with its fsync.",
            buckets=COMMIT_BUCKETS,
            registry=registry,
        )
        self.batch: Final = Histogram(
            "tallygate_ledger_batch_statements",
            "Statements in one transaction.",
            buckets=BATCH_BUCKETS,
            registry=registry,
        )
        self.ledger_failures: Final = Counter(
            "tallygate_ledger_failures",
            "Failures that ended the ledger, by operation.",
            ["op"],
            registry=registry,
        )
        self.entries: Final = Gauge("tallygate_log_entries", "Entries of the log.", registry=registry)
        self.missing_rosters: Final = Gauge(
            "tallygate_missing_rosters",
            "Rosters that a decision names and that are not on this machine.",
            registry=registry,
        )
        self.disk_free: Final = Gauge(
            "tallygate_disk_free_bytes", "Free bytes on the ledger's disk.", registry=registry
        )
        self.loop_lag: Final = Gauge(
            "tallygate_loop_lag_seconds",
            "How late the event loop woke up at worst in the last half to whole minute.",
            registry=registry,
        )
        self.certificate_expiry: Final = Gauge(
            "tallygate_certificate_expiry_timestamp_seconds",
            "When a certificate ends.",
            ["name"],
            registry=registry,
        )
        self.crl_next_update: Final = Gauge(
            "tallygate_crl_next_update_timestamp_seconds",
            "When the revocation list is due to be renewed.",
            registry=registry,
        )
        self.reloads: Final = Counter(
            "tallygate_tls_reloads",
            "Reloads of certificate and revocation list.",
            ["result"],
            registry=registry,
        )
        self.build_info: Final = Gauge(
            "tallygate_build_info", "Version of the program; always 1.", ["version"], registry=registry
        )
        self.build_info.labels(version).set(1)
        _present(self.connections, CONNECTION_RESULTS)
        _present(self.handshakes, HANDSHAKE_RESULTS)
        _present(self.reloads, ("ok", "failed"))
        _present(self.statements, STATEMENT_OUTCOMES)
        _present(self.ledger_failures, LEDGER_OPERATIONS)
        if process:
            ProcessCollector(registry=registry)
            PlatformCollector(registry=registry)
            GCCollector(registry=registry)


def _present(counter: Counter, results: Sequence[str]) -> None:
    """A series that only appears with its first failure cannot be alarmed on: all begin at 0."""
    for result in results:
        counter.labels(result)
