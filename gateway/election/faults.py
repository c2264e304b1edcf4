"""What is wrong with an election folder: stable codes, places, and the list that gathers them all."""

import enum
from typing import NamedTuple

from gateway.election.limits import MAX_FAULTS_A_FILE


class Code(enum.StrEnum):
    """The codes of the builder; docs/election-folder.md says for each what to do.

    They never change their meaning.
    """

    # The folder and its files
    NO_FOLDER = "definition.no_folder"
    MISSING_FILE = "definition.missing_file"
    NOT_A_FILE = "definition.not_a_file"
    UNREADABLE = "definition.unreadable"
    TOO_LARGE = "definition.too_large"
    EMPTY_FILE = "definition.empty_file"
    ENCODING = "definition.encoding"
    # Lines and headers
    LINE_ENDS = "definition.line_ends"
    LINE_TOO_LONG = "definition.line_too_long"
    TOO_MANY_ROWS = "definition.too_many_rows"
    NO_ROWS = "definition.no_rows"
    UNKNOWN_COLUMN = "definition.unknown_column"
    DUPLICATE_COLUMN = "definition.duplicate_column"
    MISSING_COLUMN = "definition.missing_column"
    RAGGED_ROW = "definition.ragged_row"
    QUOTING = "definition.quoting"
    # Cells
    CONTROL_CHARACTER = "definition.control_character"
    MISSING_VALUE = "definition.missing_value"
    NOT_A_NUMBER = "definition.not_a_number"
    NUMBER_RANGE = "definition.number_range"
    BAD_PERCENT = "definition.bad_percent"
    BAD_TIME = "definition.bad_time"
    BAD_TIMEZONE = "definition.bad_timezone"
    BAD_NAME = "definition.bad_name"
    BAD_HEX = "definition.bad_hex"
    BAD_COLOR = "definition.bad_color"
    BAD_LINK = "definition.bad_link"
    BAD_COORDINATE = "definition.bad_coordinate"
    UNKNOWN_WORD = "definition.unknown_word"
    TEXT_TOO_LONG = "definition.text_too_long"
    MISSING_NAME = "definition.missing_name"
    # election.toml
    BAD_TOML = "definition.bad_toml"
    UNKNOWN_KEY = "definition.unknown_key"
    MISSING_KEY = "definition.missing_key"
    WRONG_TYPE = "definition.wrong_type"
    BAD_ID = "definition.bad_id"
    BAD_ORIGIN = "definition.bad_origin"
    BAD_LANGUAGES = "definition.bad_languages"
    LANGUAGE_WITHOUT_NAMES = "definition.language_without_names"
    CLOSES_BEFORE_OPENS = "definition.closes_before_opens"
    PUBLISHES_BEFORE_OPENS = "definition.publishes_before_opens"
    BAD_QUORUM = "definition.bad_quorum"
    BAD_RULE = "definition.bad_rule"
    # Numbers and references
    DUPLICATE_NUMBER = "definition.duplicate_number"
    DUPLICATE_FIGURE = "definition.duplicate_figure"
    UNKNOWN_AREA = "definition.unknown_area"
    UNKNOWN_PARENT = "definition.unknown_parent"
    UNKNOWN_CONTEST = "definition.unknown_contest"
    UNKNOWN_CHOICE = "definition.unknown_choice"
    UNKNOWN_STATION = "definition.unknown_station"
    UNKNOWN_FIGURE = "definition.unknown_figure"
    UNKNOWN_LEVEL = "definition.unknown_level"
    BAD_LIST = "definition.bad_list"
    # Areas and stations
    NO_ROOT = "definition.no_root"
    TWO_ROOTS = "definition.two_roots"
    CYCLE = "definition.cycle"
    AREA_DEPTH = "definition.area_depth"
    MIXED_AREA = "definition.mixed_area"
    WIDE_AREA = "definition.wide_area"
    STATION_WITHOUT_AREA = "definition.station_without_area"
    STATION_WITHOUT_CONTEST = "definition.station_without_contest"
    # Contests and choices
    CONTEST_WITHOUT_CHOICES = "definition.contest_without_choices"
    WRONG_METHOD = "definition.wrong_method"
    WRONG_CHOICE_KIND = "definition.wrong_choice_kind"
    BAD_REFERENDUM = "definition.bad_referendum"
    BAD_PREFERENCES = "definition.bad_preferences"
    SHARE_WITHOUT_PERCENT = "definition.share_without_percent"
    # Devices and keys
    DEVICE_STATION = "definition.device_station"
    STATION_WITHOUT_BOX = "definition.station_without_box"
    KEY_NOT_A_POINT = "definition.key_not_a_point"
    DUPLICATE_KEY = "definition.duplicate_key"
    COMMISSION_KEY = "definition.commission_key"
    KID_COLLISION = "definition.kid_collision"
    # Media
    MEDIA_NAME = "definition.media_name"
    MEDIA_MISSING = "definition.media_missing"
    MEDIA_NOT_A_FILE = "definition.media_not_a_file"
    MEDIA_TOO_LARGE = "definition.media_too_large"
    TOO_MANY_MEDIA = "definition.too_many_media"
    MEDIA_TYPE = "definition.media_type"
    # Warnings: worth a look, but the election can be built
    UNKNOWN_FILE = "definition.unknown_file"
    NO_DEVICES = "definition.no_devices"
    SPARE_DEVICES = "definition.spare_devices"
    CROWDED_AREA = "definition.crowded_area"
    EMPTY_AREA = "definition.empty_area"
    CONTEST_WITHOUT_STATIONS = "definition.contest_without_stations"
    NAME_GAPS = "definition.name_gaps"
    ONE_SEAT_LIST = "definition.one_seat_list"
    TOO_MANY_MARKS = "definition.too_many_marks"
    LOCAL_CLOSING = "definition.local_closing"
    REHEARSAL_ID = "definition.rehearsal_id"
    MEDIA_UNUSED = "definition.media_unused"


WARNINGS = frozenset(
    {
        Code.UNKNOWN_FILE,
        Code.NO_DEVICES,
        Code.SPARE_DEVICES,
        Code.CROWDED_AREA,
        Code.EMPTY_AREA,
        Code.CONTEST_WITHOUT_STATIONS,
        Code.NAME_GAPS,
        Code.ONE_SEAT_LIST,
        Code.TOO_MANY_MARKS,
        Code.LOCAL_CLOSING,
        Code.REHEARSAL_ID,
        Code.MEDIA_UNUSED,
    }
)
"""Codes that are shown and do not fail; every other code is a fault."""

SHOWN_CHARACTERS = 40
"""Of a cell that is quoted in a message."""


class Fault(NamedTuple):
    """One fault or warning.

    Attributes:
        file: name inside the folder, ``stations.csv`` or ``media/anna.jpg``; ``.`` is the folder itself.
        line: physical line from 1 (the header is line 1); 0 where the file as a whole is meant.
        column: name of the column or key, or empty.
        code: what kind of fault it is.
        detail: a sentence: what is wrong and what to do.
    """

    file: str
    line: int
    column: str
    code: Code
    detail: str

    @property
    def warning(self) -> bool:
        """Whether it does not keep the election from being built."""
        return self.code in WARNINGS

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}" if self.line else self.file
        column = f"{self.column}: " if self.column else ""
        return f"{place}: {column}{self.detail} [{self.code}]"


class Faults:
    """All faults and warnings of one folder, counted in full and kept up to a bound for each file.

    Attributes:
        errors: how many faults there are.
        warnings: how many warnings there are.
    """

    def __init__(self) -> None:
        self.errors = 0
        self.warnings = 0
        self._kept: list[Fault] = []
        self._room: dict[tuple[str, bool], int] = {}

    def add(self, code: Code, detail: str, *, file: str, line: int = 0, column: str = "") -> None:
        """Note one fault or warning."""
        warning = code in WARNINGS
        if warning:
            self.warnings += 1
        else:
            self.errors += 1
        room = self._room.get((file, warning), MAX_FAULTS_A_FILE)
        if room:
            self._room[file, warning] = room - 1
            self._kept.append(Fault(file, line, column, code, detail))

    def kept(self) -> list[Fault]:
        """What was kept, by file and line; of one line in the order found."""
        return sorted(self._kept, key=lambda fault: (fault.file, fault.line))


def shown(cell: str) -> str:
    """A cell as a message quotes it: in quotes, cut, and without anything a terminal would obey."""
    cut = cell if len(cell) <= SHOWN_CHARACTERS else cell[: SHOWN_CHARACTERS - 1] + "…"
    safe = "".join(c if c.isprintable() else f"\\u{ord(c):04x}" for c in cut)
    return f'"{safe}"'
