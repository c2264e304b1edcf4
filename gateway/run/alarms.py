"""What is wrong with a night, in words for who stands before it, and what to do.

What lives here: `judge`, from one look to its alarms. The names are those of the alerts for Prometheus
(docs/operations.md, "Alarms"); a name and its level never depend on the case.
"""

from collections.abc import Iterator, Mapping
from typing import Final, Literal, TypeAlias

import msgspec

from gateway.base.clock import DAY, HOUR, MINUTE, SECOND, parse_time
from gateway.base.config import Role
from gateway.run.scrape import Metrics
from gateway.run.status import Expiry, NightStatus

Level: TypeAlias = Literal["critical", "warning"]

# Every alarm there is, with its level.
ALARMS: Final[Mapping[str, Level]] = {
    "NotServing": "critical",
    "TargetDown": "critical",
    "LedgerWriteFailed": "critical",
    "PublishWriteFailed": "critical",
    "PublishNoRoom": "critical",
    "GateFailed": "critical",
    "PausedByOperator": "critical",
    "ReplayMismatch": "critical",
    "HeartbeatMissing": "critical",
    "DiskReserveLow": "critical",
    "RosterMissing": "critical",
    "Expired": "critical",
    "Unreadable": "warning",
    "LogNotOpen": "warning",
    "ClockWaiting": "warning",
    "Paused": "warning",
    "PublishLagHigh": "warning",
    "NoPacketsDuringWindow": "warning",
    "HandshakeRejectsSurge": "warning",
    "Equivocation": "warning",
    "DiskFilling": "warning",
    "CertificateExpiring": "warning",
    "CrlExpiring": "warning",
    "Overload": "warning",
    "LoopLagHigh": "warning",
    "ProgramFault": "warning",
}

# Seconds: twice the heartbeat of 60 s, and what a slow disk may add (docs/feed.md).
HEARTBEAT_SECONDS: Final = 150.0
# Seconds that an accepted entry may wait; the promise is two at the 99th percentile.
UNPUBLISHED_SECONDS: Final = 10.0
# Seconds: above it something blocks a role's event loop.
LOOP_LAG_SECONDS: Final = 1.0
# Share of the queue above which boxes will soon be told to come later.
QUEUE_SHARE: Final = 0.9
# Disks that still have this many times their reserve are no news.
DISK_TIMES: Final = 3
# Handshakes of the last five minutes that are refused for their certificate: so many, and so large a share of
# all, are no single box.
REFUSED_HANDSHAKES: Final = 20
REFUSED_SHARE: Final = 0.2
# While polls are open something comes each hour (turnout); behind the close, until all stations are counted,
# or until the night is over. In ms of the election's clock.
QUIET_DAY: Final = 2 * HOUR
QUIET_NIGHT: Final = 30 * MINUTE
NIGHT: Final = 6 * HOUR
# Days before its end that a certificate is named; a new server certificate takes an hour.
CERTIFICATE_DAYS: Final = 14


class Alarm(msgspec.Struct, frozen=True):
    """What is wrong and what to do about it."""

    name: str
    level: Level
    words: str
    todo: str


def judge(status: NightStatus, metrics: Mapping[Role, Metrics]) -> tuple[Alarm, ...]:
    """The alarms of one look, the critical ones first.

    Args:
        status: of the look.
        metrics: of the same look, by role.
    """
    found = [
        *_roles(status),
        *_ingest(status, metrics["ingest"]),
        *_publish(status, metrics["publish"]),
        *_machine(status),
    ]
    faults = sum(metrics[role].total("tallygate_faults_total") or 0 for role in metrics)
    if faults:
        found.append(
            _alarm(
                "ProgramFault",
                f"requests have met a fault of the program: {faults:,.0f} so far",
                "nothing acknowledged is lost; keep the log (boxport.fault) for whoever mends it",
            )
        )
    missing = max(metrics[role].value("tallygate_missing_rosters") or 0 for role in metrics)
    if missing:
        found.append(
            _alarm(
                "RosterMissing",
                f"rosters that a decision names and that are not here: {missing:,.0f}",
                "put them into rosters/<SHA-256>/, then kill -HUP (the log names the hash)",
            )
        )
    found += [
        _alarm("Unreadable", fault, "look at this file; what it would have said is missing here")
        for fault in status.faults
    ]
    return tuple(sorted(found, key=lambda alarm: alarm.level))


def _alarm(name: str, words: str, todo: str) -> Alarm:
    return Alarm(name, ALARMS[name], words, todo)


def _roles(status: NightStatus) -> Iterator[Alarm]:
    missing = [role for role in status.roles if role.state in ("down", "crashed", "silent", "failed")]
    wanted = [role for role in status.roles if role.state != "off"]
    if wanted and all(role.state in ("down", "crashed") for role in wanted):
        yield _alarm("NotServing", "no role of this night runs", f"start it: tallygate serve {status.night}")
        return
    for role in missing:
        words = {
            "down": f"{role.role} does not run",
            "crashed": f"{role.role} has ended without a word",
            "silent": f"{role.role} (process {role.pid}) runs and does not answer",
            "failed": f"{role.role} is failing",
        }[role.state]
        todo = "its log says why; `tallygate serve` starts it again"
        if role.state == "silent":
            todo = f"its log; if it stays so, kill -TERM {role.pid}: `tallygate serve` starts it again"
        yield _alarm("TargetDown", words, todo)
    for role in status.roles:
        if role.loop_lag_seconds is not None and role.loop_lag_seconds > LOOP_LAG_SECONDS:
            yield _alarm(
                "LoopLagHigh",
                f"{role.role} woke up {role.loop_lag_seconds:.1f} s late",
                "look what else this machine does (top, iostat): the processor is taken or the disk hangs",
            )


def _ingest(status: NightStatus, metrics: Metrics) -> Iterator[Alarm]:
    if failures := metrics.total("tallygate_ledger_failures_total"):
        yield _alarm(
            "LedgerWriteFailed",
            f"the ledger has failed and was started again: {failures:,.0f} so far",
            "look at the disk (dmesg, smartctl); docs/ledger.md, Fail-stop",
        )
    if status.entries == 0:
        yield _alarm(
            "LogNotOpen",
            "the log is not open: boxes are told to come later",
            "`tallygate open NIGHT FILE` with decision 1, and start again (docs/operations.md, The opening)",
        )
    if conflicts := status.statements and status.statements.conflict:
        yield _alarm(
            "Equivocation",
            f"devices that have signed two packets under one number: {conflicts:,}",
            "the log names device and number (statement.conflict); have the commission look into it",
        )
    yield from _silence(status, metrics)
    good = metrics.value("tallygate_recent_handshakes", result="ok") or 0
    refused = metrics.value("tallygate_recent_handshakes", result="refused") or 0
    if refused >= REFUSED_HANDSHAKES and refused > REFUSED_SHARE * (good + refused):
        yield _alarm(
            "HandshakeRejectsSurge",
            f"{refused:,.0f} handshakes were refused for their certificate in five minutes, {good:,.0f} were "
            "good",
            "the log says why (boxport.handshake): the dates, the revocation list or the CA of boxes, or of "
            "this gateway; `tallygate station` names one device's",
        )
    queue = status.queue
    if queue is not None:
        for what, now, limit in (
            ("uploads wait", queue.uploads, queue.uploads_limit),
            ("connections are open", queue.connections, queue.connections_limit),
        ):
            if now >= QUEUE_SHARE * limit:
                yield _alarm(
                    "Overload",
                    f"{now:,} of {limit:,} {what}",
                    "nothing is lost, boxes come again; look at disk and processor of this machine",
                )


def _silence(status: NightStatus, metrics: Metrics) -> Iterator[Alarm]:
    """Whether boxes should be heard and are not."""
    last = metrics.value("tallygate_last_statement_timestamp_seconds")
    if last is None or status.election_time is None:
        return
    now, opens, closes = (parse_time(at) for at in (status.election_time, status.opens_at, status.closes_at))
    silence = now - last * SECOND
    progress = status.progress
    due = progress is None or progress.silent + progress.partial > 0
    day = opens + QUIET_DAY <= now < closes and silence >= QUIET_DAY
    night = closes + QUIET_NIGHT <= now < closes + NIGHT and silence >= QUIET_NIGHT and due
    if day or night:
        yield _alarm(
            "NoPacketsDuringWindow",
            f"nothing has come from any device for {silence / MINUTE:,.0f} min",
            "is the box port to be reached from outside (address, firewall, line, DNS)? Call a station, and "
            "look at it with `tallygate station`",
        )


def _publish(status: NightStatus, metrics: Metrics) -> Iterator[Alarm]:
    if failures := metrics.total("tallygate_publish_failures_total"):
        yield _alarm(
            "PublishWriteFailed",
            f"writing the feed has failed: {failures:,.0f} so far",
            "look at the feed's disk (df, dmesg); what boxes send is safe in the ledger meanwhile",
        )
    publication, snapshot = status.publication, status.snapshot
    if publication is not None and publication.replay_matches is False:
        yield _alarm(
            "ReplayMismatch",
            "the second implementation computes other figures than those published",
            "tell the commission; run tallygate-observe verify on the feed, it names the difference",
        )
    yield from _pauses(status, metrics)
    paused = status.operator_pause is not None or (snapshot is not None and snapshot.paused is not None)
    oldest = None if publication is None else publication.oldest_unpublished_seconds
    if oldest is not None and not paused and oldest > UNPUBLISHED_SECONDS:
        yield _alarm(
            "PublishLagHigh",
            f"an entry waits for {oldest:,.0f} s to be published",
            "look at the log of publish, and what else this machine is doing",
        )
    runs = any(role.role == "publish" and role.state != "off" for role in status.roles)
    if runs and snapshot is not None and snapshot.age_seconds > HEARTBEAT_SECONDS:
        yield _alarm(
            "HeartbeatMissing",
            f"the newest snapshot is {snapshot.age_seconds:,.0f} s old; there is one every 60 s",
            "see that publish runs and ingest is ready; its log says what it waits for",
        )


def _pauses(status: NightStatus, metrics: Metrics) -> Iterator[Alarm]:
    """Who has stopped publication; what the publisher itself stops at has an alarm for each cause."""
    paused = None if status.snapshot is None else status.snapshot.paused
    by = None if paused is None else paused.by
    no_room = metrics.value("tallygate_publish_no_room")
    if no_room:
        yield _alarm(
            "PublishNoRoom",
            "publication is paused: less than half of the ledger's reserve is free on its disk",
            "make room; it goes on by itself when the whole reserve is free again",
        )
    if paused is not None and by == "gate" and not no_room and not metrics.value("tallygate_missing_rosters"):
        yield _alarm(
            "GateFailed",
            f"nothing is published since {paused.since}: the gate has refused a snapshot",
            "the log names the rule (gate.failed; docs/feed.md, The gate); start publish again, once",
        )
    operator = status.operator_pause
    if operator is not None and by != "commission":
        words = f"the operator has paused publication since {operator.since}: {operator.reason}"
        if operator.fault is not None:
            words = f"publication is paused: {operator.fault}"
        yield _alarm(
            "PausedByOperator",
            words,
            f"have the commission confirm it with decision 6, or: tallygate resume {status.night}",
        )
    if paused is not None and by == "commission":
        yield _alarm(
            "Paused",
            f"publication is paused by the commission since {paused.since}",
            "boxes are served as before; its decision 7 ends it"
            + (
                ""
                if operator is None
                else f", and then the operator's stays: tallygate resume {status.night}"
            ),
        )


def _machine(status: NightStatus) -> Iterator[Alarm]:
    if status.election_time is None:
        yield _alarm(
            "ClockWaiting",
            "the rehearsal's time does not run",
            f"the first `tallygate serve {status.night}` starts it",
        )
    disk = status.disk
    if disk is not None and disk.free < DISK_TIMES * disk.reserve:
        low = disk.free < disk.reserve
        yield _alarm(
            "DiskReserveLow" if low else "DiskFilling",
            f"{disk.free / 2**30:.1f} GiB are free on the ledger's disk (reserve {disk.reserve / 2**30:.1f})",
            "make room now: nothing new is accepted" if low else "make room before the reserve is reached",
        )
    now = parse_time(status.at)
    for expiry in status.expiries:
        yield from _expiry(expiry, now)


def _expiry(expiry: Expiry, now: int) -> Iterator[Alarm]:
    begins, ends = parse_time(expiry.begins), parse_time(expiry.ends)
    what = "the revocation list" if expiry.name == "crl" else f"the certificate {expiry.name}.pem"
    todo = "tallygate pki crl" if expiry.name == "crl" else "tallygate pki server"
    todo = f"make a new one ({todo}, docs/keys.md), then kill -HUP"
    if now >= ends:
        yield _alarm("Expired", f"{what} has ended at {expiry.ends}", todo)
    elif expiry.name == "crl" and now >= begins + (ends - begins) // 2:
        yield _alarm("CrlExpiring", f"{what} is past half its life, due at {expiry.ends}", todo)
    elif expiry.name != "crl" and now >= ends - CERTIFICATE_DAYS * DAY:
        yield _alarm("CertificateExpiring", f"{what} ends at {expiry.ends}", todo)
