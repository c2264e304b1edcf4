"""The gateway's error tree: every refusal has a stable code, a place and a sentence that says what to do."""


class TallygateError(Exception):
    """Something a person or another program has to be told.

    Attributes:
        code: stable and dotted, e.g. ``statement.malformed``; scripts may rely on it.
        detail: a sentence for people: what is wrong and what to do.
        place: where it is wrong (``stations.csv:118``), empty if there is no such place.
    """

    def __init__(self, code: str, detail: str, *, place: str = "") -> None:
        super().__init__(code, detail)
        self.code = code
        self.detail = detail
        self.place = place

    def __str__(self) -> str:
        where = f"{self.place}: " if self.place else ""
        return f"{where}{self.detail} [{self.code}]"


class CoreError(TallygateError):
    """What the Rust core refuses; the binding raises this class and no other.

    Attributes:
        rule: the rule of the format that was broken (docs/packet.md), or None.
        offset: byte offset from the start of the refused bytes, or None.
        file: name of the manifest or table, or None.
        line: line in `file` from 1, or None.
        column: column name in `file`, or None.
    """

    def __init__(
        self,
        code: str,
        detail: str,
        rule: str | None = None,
        offset: int | None = None,
        file: str | None = None,
        line: int | None = None,
        column: str | None = None,
    ) -> None:
        parts = [str(part) for part in (file, line, column) if part is not None]
        place = ":".join(parts) if parts else (f"byte {offset}" if offset is not None else "")
        super().__init__(code, detail, place=place)
        self.rule = rule
        self.offset = offset
        self.file = file
        self.line = line
        self.column = column
