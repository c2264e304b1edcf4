"""What Prometheus reads from the gateway's processes: names, help and buckets (docs/operations.md).

What lives here: what every role measures, and the metrics of `ingest` and `publish` with their registries,
passed in to whoever counts. Labels are bounded: never a station, a device or an address.
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
# Papers (scans): stored; known: it was there; refused: with a code, counted there; broken: the line broke or
# was too slow; fault: the disk.
PAPER_RESULTS: Final = ("stored", "known", "refused", "broken", "fault")


class RoleMetrics:
    """What the process of any role measures; a role's own metrics are attributes of a class over this one.

    Attributes:
        registry: of the process; whatever belongs to it is served as ``/metrics``.

    Args:
        version: of Tallygate.
        process: whether this process's own figures (memory, open files, garbage) belong to it; a test that
            makes several registries leaves them out.
    """

    def __init__(self, version: str, *, process: bool = True) -> None:
        registry = CollectorRegistry()
        self.registry: Final = registry
        self.loop_lag: Final = Gauge(
            "tallygate_loop_lag_seconds",
            "How late the event loop woke up at worst in the last half to whole minute.",
            registry=registry,
        )
        self.build_info: Final = Gauge(
            "tallygate_build_info", "Version of the program; always 1.", ["version"], registry=registry
        )
        self.build_info.labels(version).set(1)
        if process:
            ProcessCollector(registry=registry)
            PlatformCollector(registry=registry)
            GCCollector(registry=registry)


class IngestMetrics(RoleMetrics):
    """The metrics of one process `ingest`; arguments as of `RoleMetrics`."""

    def __init__(self, version: str, *, process: bool = True) -> None:
        super().__init__(version, process=process)
        registry = self.registry
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
        self.disk_reserve: Final = Gauge(
            "tallygate_disk_reserve_bytes",
            "Bytes that stay free on the ledger's disk; below it nothing new is accepted.",
            registry=registry,
        )
        self.election_clock: Final = Gauge(
            "tallygate_election_clock_timestamp_seconds",
            "The election's clock: real time, but in a rehearsal.",
            registry=registry,
        )
        self.election_opens: Final = Gauge(
            "tallygate_election_opens_timestamp_seconds",
            "When the polls open, by the election's clock.",
            registry=registry,
        )
        self.election_closes: Final = Gauge(
            "tallygate_election_closes_timestamp_seconds",
            "When the polls close, by the election's clock; stations may differ.",
            registry=registry,
        )
        self.last_statement: Final = Gauge(
            "tallygate_last_statement_timestamp_seconds",
            "When something new was last accepted, by the election's clock; else when the process started.",
            registry=registry,
        )
        self.recent_handshakes: Final = Gauge(
            "tallygate_recent_handshakes",
            "Handshakes of the last five minutes: good ones, and those refused for their certificate.",
            ["result"],
            registry=registry,
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
        self.papers: Final = Counter(
            "tallygate_papers", "Uploads of papers (scans), by result.", ["result"], registry=registry
        )
        self.paper_bytes: Final = Counter(
            "tallygate_papers_received_bytes",
            "Bytes of papers that came in, also of those that were not stored.",
            registry=registry,
        )
        self.papers_open: Final = Gauge(
            "tallygate_papers_inflight", "Papers that are coming in now.", registry=registry
        )
        self.papers_limit: Final = Gauge(
            "tallygate_papers_inflight_limit",
            "Papers that may come in at once: a quarter of the connections.",
            registry=registry,
        )
        self.papers_disk_free: Final = Gauge(
            "tallygate_papers_disk_free_bytes", "Free bytes on the disk of the papers.", registry=registry
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
        present(self.connections, CONNECTION_RESULTS)
        present(self.handshakes, HANDSHAKE_RESULTS)
        present(self.reloads, ("ok", "failed"))
        present(self.statements, STATEMENT_OUTCOMES)
        present(self.ledger_failures, LEDGER_OPERATIONS)
        present(self.papers, PAPER_RESULTS)


# accepted; displaced: it waited for a request and was closed for a newcomer; turned_away: every other one was
# being answered; stalled: its reader took too little for too long; fault: ended by a fault of the program.
WEB_RESULTS: Final = ("accepted", "displaced", "turned_away", "stalled", "fault")
WEB_STATUSES: Final = ("200", "204", "206", "304", "400", "404", "405", "412", "416", "431", "503")
# Seconds, most of which are spent on the reader's line.
WEB_BUCKETS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0, 30.0)


class WebMetrics(RoleMetrics):
    """The metrics of one process `web`; arguments as of `RoleMetrics`."""

    def __init__(self, version: str, *, process: bool = True) -> None:
        super().__init__(version, process=process)
        registry = self.registry
        self.connections: Final = Counter(
            "tallygate_web_connections",
            "Connections to the public port: accepted, and what happened to some of them.",
            ["result"],
            registry=registry,
        )
        self.open_connections: Final = Gauge(
            "tallygate_web_open_connections",
            "Connections to the public port that are open now.",
            registry=registry,
        )
        self.connections_limit: Final = Gauge(
            "tallygate_web_open_connections_limit", "The cap of open connections.", registry=registry
        )
        self.requests: Final = Counter(
            "tallygate_web_requests", "Requests on the public port, by status.", ["status"], registry=registry
        )
        self.sent: Final = Counter(
            "tallygate_web_sent_bytes", "Bytes of files and pages that were sent.", registry=registry
        )
        self.duration: Final = Histogram(
            "tallygate_web_request_duration_seconds",
            "From the whole request to the last byte that the system has taken.",
            buckets=WEB_BUCKETS,
            registry=registry,
        )
        self.render: Final = Histogram(
            "tallygate_web_page_render_seconds",
            "Making one page out of the feed.",
            buckets=WEB_BUCKETS,
            registry=registry,
        )
        self.snapshot: Final = Gauge(
            "tallygate_web_snapshot_number", "The newest snapshot that a page was made of.", registry=registry
        )
        present(self.connections, WEB_RESULTS)
        present(self.requests, WEB_STATUSES)


# Seconds, with an edge at the promise: in a published snapshot within two.
LAG_BUCKETS: Final = (0.25, 0.5, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0, 30.0, 60.0, 300.0)
SNAPSHOT_BUCKETS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
EXPORT_BUCKETS: Final = (0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 40.0, 80.0, 160.0, 320.0)

# The gate's (docs/feed.md).
GATE_RULES: Final = (
    "form",
    "hash",
    "parent",
    "rows",
    "turnout",
    "states",
    "row",
    "reason",
    "share",
    "threshold",
    "seats",
    "progress",
    "status",
    "log",
    "chain",
    "replay",
    "embargo",
)
# What the publisher's disk has failed in, and who can pause publication.
PUBLISH_OPERATIONS: Final = ("start", "snapshot", "prune")
PAUSED_BY: Final = ("commission", "gate", "operator")


class PublishMetrics(RoleMetrics):
    """The metrics of one process `publish`; arguments as of `RoleMetrics`."""

    def __init__(self, version: str, *, process: bool = True) -> None:
        super().__init__(version, process=process)
        registry = self.registry
        self.lag: Final = Histogram(
            "tallygate_publish_lag_seconds",
            "From an entry's acceptance to the snapshot that has it.",
            buckets=LAG_BUCKETS,
            registry=registry,
        )
        self.oldest_unpublished: Final = Gauge(
            "tallygate_oldest_unpublished_seconds",
            "How long the oldest entry waits that is in no snapshot; 0: none does.",
            registry=registry,
        )
        self.snapshot_number: Final = Gauge(
            "tallygate_snapshot_number", "The newest snapshot; 0: there is none.", registry=registry
        )
        self.snapshot_timestamp: Final = Gauge(
            "tallygate_snapshot_timestamp_seconds",
            "When the newest snapshot was published, in real time; 0: none by this process.",
            registry=registry,
        )
        self.snapshot_seconds: Final = Histogram(
            "tallygate_snapshot_duration_seconds",
            "One snapshot, from its first figure to the pointer.",
            buckets=SNAPSHOT_BUCKETS,
            registry=registry,
        )
        self.entries: Final = Gauge(
            "tallygate_published_entries",
            "Entries of the log that the newest snapshot covers.",
            registry=registry,
        )
        self.gate_failures: Final = Counter(
            "tallygate_gate_failures",
            "Snapshots that the gate has refused, by rule.",
            ["rule"],
            registry=registry,
        )
        self.paused: Final = Gauge(
            "tallygate_publication_paused",
            "1 for whoever has paused publication, 0 for the others.",
            ["by"],
            registry=registry,
        )
        self.embargoed: Final = Gauge(
            "tallygate_publication_embargoed",
            "1 while the figures of the newest snapshot are under embargo.",
            registry=registry,
        )
        self.no_room: Final = Gauge(
            "tallygate_publish_no_room",
            "1 while publication pauses so that the ledger's disk does not fill up.",
            registry=registry,
        )
        self.export_snapshot: Final = Gauge(
            "tallygate_export_snapshot_number",
            "The snapshot of the newest exports that this process has made; 0: none.",
            registry=registry,
        )
        self.export_seconds: Final = Histogram(
            "tallygate_export_duration_seconds",
            "One snapshot's exports, from the first file to the pointer.",
            buckets=EXPORT_BUCKETS,
            registry=registry,
        )
        self.export_failures: Final = Counter(
            "tallygate_export_failures",
            "Exports that could not be made; the next try is a minute later.",
            registry=registry,
        )
        self.failures: Final = Counter(
            "tallygate_publish_failures",
            "Failures of the feed's disk that ended the publisher, by operation.",
            ["op"],
            registry=registry,
        )
        self.following: Final = Gauge(
            "tallygate_ledger_followed",
            "Whether the ledger's socket is connected: 1 or 0.",
            registry=registry,
        )
        self.missing_rosters: Final = Gauge(
            "tallygate_missing_rosters",
            "Rosters that a decision names and that are not on this machine.",
            registry=registry,
        )
        self.papers_published: Final = Counter(
            "tallygate_papers_published", "Papers (scans) that were copied into the feed.", registry=registry
        )
        self.papers_missing: Final = Gauge(
            "tallygate_papers_missing",
            "Papers that the published log names and that are not in the feed.",
            registry=registry,
        )
        self.stations: Final = Gauge(
            "tallygate_stations",
            "Stations of the newest snapshot, by state; opened ones are in another state besides.",
            ["state"],
            registry=registry,
        )
        self.flagged: Final = Gauge(
            "tallygate_stations_flagged",
            "Stations of the newest snapshot that have a code.",
            ["code"],
            registry=registry,
        )
        self.disk_free: Final = Gauge(
            "tallygate_disk_free_bytes", "Free bytes on the feed's disk.", registry=registry
        )
        present(self.gate_failures, GATE_RULES)
        present(self.failures, PUBLISH_OPERATIONS)
        for who in PAUSED_BY:
            self.paused.labels(who)


def present(counter: Counter, results: Sequence[str]) -> None:
    """Makes a counter's series, at 0: one that only appears with its first failure cannot be alarmed on."""
    for result in results:
        counter.labels(result)
