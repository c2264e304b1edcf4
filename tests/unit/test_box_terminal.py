"""What the clients' programs write, and how they end."""

import io
import sys

import click
import pytest

from clients import terminal
from clients.wire.errors import WireError


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Мектеп № 8, Жаңы-Айыл — 100 %", "Мектеп № 8, Жаңы-Айыл — 100 %"),
        ("a\x1b[31mred", "a\\x1b[31mred"),
        ("line\nfeed\ttab\r", "line\\nfeed\\ttab\\r"),
        ("abc\u202edcba", "abc\\u202edcba"),
        ("zero\u200bwidth", "zero\\u200bwidth"),
        ("file\udcff", "file\\udcff"),
        ("\U0001f5f3", "\U0001f5f3"),
        ("\U000e0041", "\\U000e0041"),
    ],
)
def test_other_peoples_text(text: str, shown: str) -> None:
    assert terminal.visible(text) == shown


def test_plain_lines_into_a_pipe(capsys: pytest.CaptureFixture[str]) -> None:
    terminal.say("slip", "8-00")
    terminal.say("a label that is long", "x" * 200)
    terminal.say("", "continued")
    terminal.say("heading")
    terminal.result("proved", good=True)
    terminal.warn("a warning\n")
    terminal.fail("a failure [bold]")
    captured = capsys.readouterr()
    assert captured.out.splitlines() == [
        "slip         8-00",
        f"a label that is long {'x' * 200}",
        "             continued",
        "heading",
        "proved",
    ]
    assert captured.err.splitlines() == ["warning: a warning\\n", "error: a failure [bold]"]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_colour_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    stream = Terminal()
    monkeypatch.setattr(sys, "stdout", stream)
    terminal.say("slip", f"[red]8-00[/red] {'x' * 200}")
    line = stream.getvalue()
    assert "\x1b[1mslip" in line
    assert "[red]8-00[/red]" in line
    assert line.count("\n") == 1


def ends(command: click.Command, *arguments: str, failed: int = 1) -> int | str | None:
    with pytest.raises(SystemExit) as caught:
        terminal.run(command, "program", arguments, failed)
    return caught.value.code


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (WireError("spool.gap", "it is gone", file="x"), "error: x: it is gone [spool.gap]"),
        (KeyboardInterrupt(), "error: stopped"),
        (click.Abort(), "error: stopped"),
        (
            FileNotFoundError(2, "No such file or directory", "a/b"),
            "error: a/b: No such file or directory [file.failed]",
        ),
        (OSError("odd"), "error: the system: odd [file.failed]"),
    ],
)
@pytest.mark.parametrize("failed", [1, 2])
def test_failures(error: BaseException, said: str, failed: int, capsys: pytest.CaptureFixture[str]) -> None:
    @click.command()
    def command() -> None:
        raise error

    assert ends(command, failed=failed) == failed
    assert capsys.readouterr().err.strip() == said


def test_usage_and_success(capsys: pytest.CaptureFixture[str]) -> None:
    @click.command(epilog=terminal.example("program 1", "program 2"))
    @click.argument("number", type=int)
    def command(number: int) -> None:
        if number > 1:
            raise click.exceptions.Exit(number)

    assert ends(command, "1") == 0
    assert ends(command, "7") == 7
    assert ends(command, "x") == 2
    assert "Usage: program" in capsys.readouterr().err
    assert ends(command, "1", "\x1b[2J\u202e") == 2
    said = capsys.readouterr().err
    assert "\x1b" not in said
    assert "\\u202e" in said
    assert ends(command, "--help") == 0
    assert capsys.readouterr().out.endswith("  Examples:\n    program 1\n    program 2\n")
