"""The clients' error tree: one class, for everything that other people's bytes can do wrong."""


class WireError(Exception):
    """Bytes that are not what they should be, or what could not be done with them.

    Attributes:
        code: stable and dotted, e.g. ``statement.malformed``; the gateway answers with the same codes.
        detail: a sentence for people.
        rule: the rule of docs/packet.md that a statement breaks, or None.
        offset: byte offset from the first refused byte string's start, or None.
        file: name of the manifest or table, or None.
        line: line in `file` from 1 (the header), or None.
        column: column name in `file`, or None.
        place: the most exact of these for people: ``stations.csv:118:registered``, ``byte 61``, or empty.
    """

    def __init__(
        self,
        code: str,
        detail: str,
        *,
        rule: str | None = None,
        offset: int | None = None,
        file: str | None = None,
        line: int | None = None,
        column: str | None = None,
    ) -> None:
        super().__init__(code, detail)
        self.code = code
        self.detail = detail
        self.rule = rule
        self.offset = offset
        self.file = file
        self.line = line
        self.column = column

    @property
    def place(self) -> str:
        """Where it is wrong, for people."""
        parts = [str(part) for part in (self.file, self.line, self.column) if part is not None]
        if parts:
            return ":".join(parts)
        return f"byte {self.offset}" if self.offset is not None else ""

    def __str__(self) -> str:
        where = f"{self.place}: " if self.place else ""
        rule = f" ({self.rule})" if self.rule else ""
        return f"{where}{self.detail}{rule} [{self.code}]"
