"""The command line of whoever checks: `tallygate-observe`."""

from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

import click

from clients import files, terminal
from clients.observer.verify_command import verify_command
from clients.observer.watch_command import watch_command
from clients.terminal import FAILED, WRONG_USAGE, say, say_json
from clients.wire import receipt, statement
from clients.wire.errors import WireError
from clients.wire.note import Checkpoint, VerifierKey
from clients.wire.statement import Statement
from clients.wire.text import MAX_ORIGIN_BYTES, base64_text

# A name, a key id and 44 characters of base64, with room for a line's end.
_MAX_VKEY_BYTES = MAX_ORIGIN_BYTES + 100
# Above a receipt's and a statement's own limits, so that the refusal says which rule is broken.
_MAX_FILE_BYTES = 1024 * 1024

_EXAMPLE = "tallygate-observe receipt 000002.receipt --statement 000002.cose --log-key log.vkey"
_EXAMPLES = (_EXAMPLE, "tallygate-observe verify night/feed", "tallygate-observe watch night/feed")

_AGAIN = "get the receipt again as a file: mail programs and editors change line ends"
_ANOTHER_KEY = (
    "take the log's key from the commission's decision 1, not from where the receipt came from; if it is the "
    "right key, this log has not signed the receipt: tell the commission"
)
_CHANGED = (
    "get the receipt again; if it stays like this, keep it as evidence and tell the commission: somebody has "
    "changed what the log has signed"
)
_AT_FAULT = "the log's key has signed this, so the log is at fault: keep both files and tell the commission"
_OTHER_STATEMENT = (
    "take the statement that this receipt was the answer to, with its exact bytes; if it is that one, keep "
    "both files as evidence and tell the commission"
)
_ADVICE = {
    "receipt.malformed": _AGAIN,
    "note.malformed": _AGAIN,
    "note.unsigned": _ANOTHER_KEY,
    "note.signature": _CHANGED,
    "checkpoint.malformed": _AT_FAULT,
    "checkpoint.origin": _AT_FAULT,
    "receipt.proof": _OTHER_STATEMENT,
    "statement.malformed": f"the log holds these bytes, but they are no statement. {_AT_FAULT.capitalize()}",
}


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run `tallygate-observe` and leave the process: 0 proved, 1 not proved, 2 could not check."""
    terminal.run(tallygate_observe, "tallygate-observe", arguments, failed=WRONG_USAGE)


@click.group(
    context_settings=terminal.HELP_OPTIONS,
    epilog=terminal.example(*_EXAMPLES),
)
def tallygate_observe() -> None:
    """Check what an election's gateway says; nothing is believed.

    Exit codes: 0 proved, 1 not proved, 2 could not check.
    """


tallygate_observe.add_command(verify_command)
tallygate_observe.add_command(watch_command)


@tallygate_observe.command("receipt", epilog=terminal.example(_EXAMPLE))
@click.argument("receipt_file", metavar="RECEIPT", type=terminal.PATH)
@click.option(
    "--statement",
    "statement_file",
    metavar="FILE",
    type=terminal.PATH,
    required=True,
    help="The exact bytes that were signed and sent.",
)
@click.option(
    "--log-key",
    metavar="VKEY",
    required=True,
    help="The log's verifier key (name+id+key), or a file that holds it.",
)
@terminal.json_option
def receipt_command(receipt_file: Path, statement_file: Path, log_key: str, json_output: bool) -> None:
    """Check that RECEIPT proves a statement's place in the log.

    Exit codes: 0 proved, 1 not proved, 2 could not check.
    """
    vkey = _verifier_key(log_key)
    data = files.read_given(statement_file, _MAX_FILE_BYTES, "a statement")
    proof = files.read_given(receipt_file, _MAX_FILE_BYTES, "a receipt")
    try:
        index, checkpoint = receipt.verify(proof, data, vkey)
        shown = statement.decode(data)
    except WireError as error:
        _tell_refusal(error, json_output)
        raise click.exceptions.Exit(FAILED) from error
    if json_output:
        say_json(
            {
                "proved": True,
                "code": None,
                "id": shown.id.hex(),
                "index": index,
                "size": checkpoint.size,
                "root": base64_text(checkpoint.root),
                "origin": checkpoint.origin,
            }
        )
    else:
        _tell_proof(index, checkpoint, shown)


def _verifier_key(text: str) -> VerifierKey:
    """Read a key that is given itself or as a file's name."""
    try:
        return VerifierKey.parse(text)
    except WireError as error:
        if not Path(text).is_file():
            raise WireError(
                error.code, f"--log-key is no file and no verifier key: {error.detail}"
            ) from error
    data = files.read_given(Path(text), _MAX_VKEY_BYTES, "a verifier key")
    try:
        return VerifierKey.parse(data.decode("utf-8", "replace").strip())
    except WireError as error:
        raise WireError(error.code, error.detail, file=text) from error


def _tell_refusal(error: WireError, json_output: bool) -> None:
    if json_output:
        say_json({"proved": False, "code": error.code, "detail": error.detail})
        return
    terminal.result("not proved", good=False)
    say("why", f"{error.detail} [{error.code}]")
    say("what to do", _ADVICE[error.code])


def _tell_proof(index: int, checkpoint: Checkpoint, shown: Statement) -> None:
    terminal.result("proved: the log holds this statement, byte for byte", good=True)
    if shown.kind == "packet":
        say("statement", f"packet {shown.sequence} of device {shown.device}, station {shown.station}")
    else:
        say("statement", f"decision {shown.number} of the commission")
    say("id", shown.id.hex())
    say("entry", f"{index:,} (the first is 0)")
    say("log", checkpoint.origin)
    say("log size", f"{checkpoint.size:,} entries")
    say("root", base64_text(checkpoint.root))
    say("not checked", "who signed the statement; that everybody is shown this same log")


if __name__ == "__main__":
    main()
