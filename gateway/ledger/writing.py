"""Rows on their way into the tables, in as few statements as possible.

What lives here: what becomes of a statement in the tables `entry` and `named`, and INSERTs of many rows. Each
statement of SQL gives the GIL away and has to wait for it again; each number of rows is a text of its own,
which stays prepared.
"""

import functools
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

import apsw

from gateway import _core
from gateway.ledger.schema import DECISION, PACKET, Value, seal

# Rows of one INSERT.
_MOST_ROWS: Final = 64
# Columns of each table.
_COLUMNS: Final = {"entry": 9, "named": 6, "refusal": 2, "attachment": 5}


def insert(connection: apsw.Connection, into: str, cells: Sequence[Value]) -> None:
    """Inserts rows, cell after cell.

    Args:
        connection: in a transaction.
        into: ``INSERT … INTO`` and the table's name.
        cells: of all rows.

    Raises:
        apsw.Error: whatever SQLite meets.
    """
    columns = _COLUMNS[into.rpartition(" ")[2]]
    for at in range(0, len(cells), _MOST_ROWS * columns):
        part = cells[at : at + _MOST_ROWS * columns]
        connection.execute(_values(into, columns, len(part) // columns), part)


def signer_of(statement: _core.Statement, members: Mapping[bytes, int]) -> tuple[int, int, int]:
    """The columns signer, sequence, kind: a decision's are its member's and its own number.

    Raises:
        ValueError: a decision of somebody who is not a member.
    """
    device, sequence = statement.device, statement.sequence
    if device is not None and sequence is not None:
        return device, sequence, PACKET
    member = members.get(statement.kid)
    number = statement.content[2]
    if member is None or not isinstance(number, int):
        raise ValueError("a decision of somebody who is not a member was taken for verified")
    return member, number, DECISION


def named(statement: _core.Statement) -> Iterator[Value]:
    """The cells of the papers that a packet names."""
    for sha256, media, size, _, _ in statement.attachments:
        row = (sha256, statement.device, statement.station, media, size)
        yield from (*row, seal(row))


@functools.cache
def _values(into: str, columns: int, count: int) -> str:
    row = f"({','.join('?' * columns)})"
    return f"{into} VALUES {','.join([row] * count)}"
