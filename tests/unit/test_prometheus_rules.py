"""The alert rules that we ship, as Prometheus itself judges them: each fires when it should, and not else."""

import json
import re
import subprocess
from pathlib import Path
from typing import TypeAlias

import pytest

from gateway.run.alarms import ALARMS
from tests.peers import require_program

ROOT = Path(__file__).parents[2]
RULES = ROOT / "packaging" / "prometheus" / "tallygate.rules.yml"
RUNBOOKS = ROOT / "docs" / "runbooks"

# Series and their values each 15 s, in promtool's notation.
Series: TypeAlias = dict[str, str]

INGEST = 'job="tallygate",instance="ingest"'
PUBLISH = 'job="tallygate",instance="publish"'
# promtool's time begins at 0, and so do the clocks here; a look is after an hour.
LOOK = 3_600
HOUR = 240


def steady(value: float) -> str:
    return f"{value}x{HOUR}"


def election(clock: str, last: float, *, opens: float, closes: float) -> Series:
    return {
        f"tallygate_election_clock_timestamp_seconds{{{INGEST}}}": clock,
        f"tallygate_last_statement_timestamp_seconds{{{INGEST}}}": steady(last),
        f"tallygate_election_opens_timestamp_seconds{{{INGEST}}}": steady(opens),
        f"tallygate_election_closes_timestamp_seconds{{{INGEST}}}": steady(closes),
    }


def handshakes(refused: str, good: str) -> Series:
    return {
        f'tallygate_tls_handshakes_total{{{INGEST},result="expired"}}': refused,
        f'tallygate_tls_handshakes_total{{{INGEST},result="ok"}}': good,
        f'tallygate_tls_handshakes_total{{{INGEST},result="protocol"}}': "0+1000x240",
    }


def counter(name: str, labels: str, target: str = INGEST) -> tuple[Series, Series]:
    """A counter that has risen within the hour, and one that has not."""
    series = f"{name}{{{target},{labels}}}" if labels else f"{name}{{{target}}}"
    return {series: "3x200 4x40"}, {series: steady(3)}


def gauge(
    name: str, bad: float, good: float, target: str = INGEST, labels: str = ""
) -> tuple[Series, Series]:
    series = f"{name}{{{target}{labels}}}"
    return {series: steady(bad)}, {series: steady(good)}


RESERVE = {f"tallygate_disk_reserve_bytes{{{INGEST}}}": steady(100)}
DISK = f"tallygate_disk_free_bytes{{{INGEST}}}"
LAG = f"tallygate_oldest_unpublished_seconds{{{PUBLISH}}}"
PAUSED = f'tallygate_publication_paused{{{PUBLISH},by="commission"}}'
# The election's clock at the look.
NOW = "100000+15x240"
CLOCK = 103_600

# alert → (fires, does not).
CASES: dict[str, tuple[Series, Series]] = {
    "TargetDown": gauge("up", 0, 1),
    "LedgerWriteFailed": counter("tallygate_ledger_failures_total", 'op="append"'),
    "PublishWriteFailed": counter("tallygate_publish_failures_total", 'op="snapshot"', PUBLISH),
    "PublishNoRoom": gauge("tallygate_publish_no_room", 1, 0, PUBLISH),
    "GateFailed": gauge("tallygate_gate_failures_total", 1, 0, PUBLISH, ',rule="parent"'),
    "PausedByOperator": gauge("tallygate_publication_paused", 1, 0, PUBLISH, ',by="operator"'),
    "ReplayMismatch": gauge("tallygate_replay_matches", 0, 1),
    "HeartbeatMissing": gauge("tallygate_snapshot_timestamp_seconds", LOOK - 151, LOOK - 149, PUBLISH),
    "DiskReserveLow": ({**RESERVE, DISK: steady(99)}, {**RESERVE, DISK: steady(100)}),
    "DiskFilling": ({**RESERVE, DISK: steady(299)}, {**RESERVE, DISK: steady(300)}),
    "RosterMissing": gauge("tallygate_missing_rosters", 1, 0),
    "Expired": gauge("tallygate_crl_next_update_timestamp_seconds", LOOK, LOOK + 1_000_000),
    "CertificateExpiring": gauge(
        "tallygate_certificate_expiry_timestamp_seconds",
        LOOK + 14 * 86_400 - 1,
        LOOK + 14 * 86_400,
        labels=',name="server"',
    ),
    "CrlExpiring": gauge(
        "tallygate_crl_next_update_timestamp_seconds", LOOK + 7 * 86_400 - 1, LOOK + 7 * 86_400
    ),
    "PublishLagHigh": ({LAG: steady(11)}, {LAG: steady(11), PAUSED: steady(1)}),
    "NoPacketsDuringWindow": (
        election(NOW, CLOCK - 1_800, opens=0, closes=CLOCK - 1_800),
        {
            **election(NOW, CLOCK - 1_800, opens=0, closes=CLOCK - 1_800),
            f'tallygate_stations{{{PUBLISH},state="silent"}}': steady(0),
        },
    ),
    "HandshakeRejectsSurge": (handshakes("0+2x240", "0+3x240"), handshakes("0+2x240", "0+30x240")),
    "Equivocation": counter("tallygate_statements_total", 'outcome="conflict"'),
    "Overload": (
        {
            f"tallygate_inflight_uploads{{{INGEST}}}": steady(90),
            f"tallygate_inflight_uploads_limit{{{INGEST}}}": steady(100),
        },
        {
            f"tallygate_inflight_uploads{{{INGEST}}}": steady(89),
            f"tallygate_inflight_uploads_limit{{{INGEST}}}": steady(100),
        },
    ),
    "LoopLagHigh": gauge("tallygate_loop_lag_seconds", 1.5, 1.0),
    "ProgramFault": counter("tallygate_faults_total", ""),
}
# Further looks at the one rule with windows.
WINDOWS: list[tuple[Series, bool]] = [
    (election(NOW, CLOCK - 7_200, opens=CLOCK - 7_200, closes=CLOCK + 1), True),
    (election(NOW, CLOCK - 7_199, opens=CLOCK - 7_200, closes=CLOCK + 1), False),
    (election(NOW, CLOCK - 7_200, opens=CLOCK - 7_199, closes=CLOCK + 1), False),
    (election(NOW, CLOCK - 9_000, opens=0, closes=CLOCK - 1_799), False),
    (election(NOW, CLOCK - 9_000, opens=0, closes=CLOCK - 21_600), False),
]


def rules() -> dict[str, tuple[str, str]]:
    """Level and runbook of each alert."""
    found = re.findall(
        r"- alert: (\w+)\n.*?labels: \{severity: (\w+)\}\n +annotations: \{summary: .*?, runbook: (\S+)\}",
        RULES.read_text(),
        re.DOTALL,
    )
    return {name: (level, runbook) for name, level, runbook in found}


def test_alerts_have_the_levels_of_our_alarms_and_a_runbook_each() -> None:
    alerts = rules()
    assert set(alerts) == {*CASES, "Watchdog"}
    for name, (level, runbook) in alerts.items():
        assert level == ALARMS.get(name, "none")
        assert runbook == f"docs/runbooks/{name}.md"
        text = (ROOT / runbook).read_text()
        assert text.startswith(f"# {name}\n")
        for heading in ("## Means", "## Do", "## Afterwards"):
            assert text.count(f"{heading}\n") == 1
    assert {path.stem for path in RUNBOOKS.glob("*.md")} == set(alerts)


@pytest.mark.peer
def test_promtool_accepts_the_rules() -> None:
    promtool = require_program("promtool")
    done = subprocess.run([promtool, "check", "rules", RULES], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert f"{len(CASES) + 1} rules found" in done.stdout


@pytest.mark.peer
def test_each_fires_when_it_should_and_not_else(tmp_path: Path) -> None:
    promtool = require_program("promtool")
    looks = [
        (name, series, fires)
        for name, both in CASES.items()
        for series, fires in zip(both, (True, False), strict=True)
    ]
    looks += [("NoPacketsDuringWindow", series, fires) for series, fires in WINDOWS]
    tests = [
        {
            "interval": "15s",
            "input_series": [{"series": name, "values": values} for name, values in series.items()],
            "promql_expr_test": [
                {
                    "expr": f'count(ALERTS{{alertname="{alert}",alertstate="firing"}}) or vector(0)',
                    "eval_time": f"{LOOK}s",
                    "exp_samples": [{"labels": "{}", "value": int(fires)}],
                },
                {
                    "expr": 'count(ALERTS{alertname="Watchdog",alertstate="firing"})',
                    "eval_time": f"{LOOK}s",
                    "exp_samples": [{"labels": "{}", "value": 1}],
                },
            ],
        }
        for alert, series, fires in looks
    ]
    file = tmp_path / "tests.json"  # JSON is YAML
    file.write_text(json.dumps({"rule_files": [str(RULES)], "evaluation_interval": "120s", "tests": tests}))
    done = subprocess.run([promtool, "test", "rules", file], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
