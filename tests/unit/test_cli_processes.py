"""How a process that runs all night ends: which of several errors is told, and what the log gets."""

import io
import json
import os
import sys
from pathlib import Path

import pytest

from gateway.base.errors import TallygateError
from gateway.base.logs import Log
from gateway.cli.processes import for_children, run_until_told, surroundings
from gateway.ledger.protocol import LedgerFailedError

REFUSED = TallygateError("tls.key", "this is no key", place="server.key")
FAILED = LedgerFailedError("appending failed")
FAULT = ValueError("nobody foresaw this")


def told(error: BaseException) -> tuple[BaseException, dict[str, object] | None]:
    """What comes out, and the last line of the log."""
    lines: list[str] = []

    async def main() -> None:
        raise error

    with pytest.raises(BaseException) as caught:  # noqa: PT011 - the caller asks what it is
        run_until_told(main, Log("ingest", lines.append, lambda: 0))
    return caught.value, json.loads(lines[-1]) if lines else None


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (REFUSED, REFUSED),
        (ExceptionGroup("", [REFUSED]), REFUSED),
        (ExceptionGroup("", [ExceptionGroup("", [REFUSED, FAILED])]), FAILED),
        (ExceptionGroup("", [FAULT, FAILED]), FAILED),
    ],
)
def test_the_error_that_tells_most_is_told(error: Exception, expected: TallygateError) -> None:
    found, line = told(error)
    assert found is expected
    assert line is not None
    assert (line["event"], line["code"], line["words"]) == ("role.failed", expected.code, str(expected))


def test_an_error_of_the_system_is_told_as_it_is() -> None:
    error = FileNotFoundError(2, "No such file or directory", "pki/server.pem")
    found, line = told(ExceptionGroup("", [error]))
    assert found is error
    assert line is not None
    assert line["code"] == "FileNotFoundError"


@pytest.mark.parametrize("error", [FAULT, ExceptionGroup("", [FAULT, REFUSED])])
def test_what_nobody_foresaw_is_a_fault_with_its_traceback(error: Exception) -> None:
    found, line = told(error)
    assert isinstance(found, TallygateError)
    assert found.code == "server.fault"
    assert line is not None
    assert line["event"] == "role.fault"
    assert "nobody foresaw this" in str(line["traceback"])


@pytest.mark.parametrize("error", [KeyboardInterrupt(), BaseExceptionGroup("", [KeyboardInterrupt(), FAULT])])
def test_ctrl_c_before_anybody_listens_stays_ctrl_c(error: BaseException) -> None:
    found, line = told(error)
    assert type(found) is KeyboardInterrupt
    assert line is None


def test_what_systemd_says_to_one_process_is_for_it_alone(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
    monkeypatch.setenv("WATCHDOG_USEC", "4000000")
    monkeypatch.setenv("WATCHDOG_PID", str(os.getpid()))
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    with surroundings("serve", supervised=True) as around:
        assert (around.watchdog, around.credentials, around.supervisor) == (2.0, tmp_path, 0)
    children = for_children()
    assert not {"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"} & set(children)
    assert children["CREDENTIALS_DIRECTORY"] == str(tmp_path)
    for name in ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "CREDENTIALS_DIRECTORY"):
        monkeypatch.delenv(name)
    with surroundings("serve", supervised=False) as around:
        assert (around.watchdog, around.credentials, around.supervisor) == (None, None, None)
