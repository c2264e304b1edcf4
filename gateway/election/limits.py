"""The bounds of an election folder: each a named constant with its unit and its reason."""

KIB = 1024
MIB = 1024 * KIB

MAX_TABLE_BYTES = 512 * MIB
"""Of one table. A million stations with names and addresses in four languages take about 400 MiB."""

MAX_ROWS = 4_000_000
"""Of one table: a million stations with two devices each, twice. Bounds memory where rows are short."""

MAX_LINE_BYTES = 128 * KIB
"""Of one line: all 24 text cells of a choice at their longest, every character a doubled quote."""

CHUNK_BYTES = MIB
"""Read at a time; also what a line that is too long can occupy before it is refused."""

MAX_TEXT_BYTES = 2_000
"""Of one text cell, in UTF-8: the format's own limit (docs/packet.md, Text)."""

MAX_SETTINGS_BYTES = MIB
"""Of election.toml: the manifest it becomes may not be larger either."""

MAX_NUMBER = 2**53 - 1
"""The largest integer that every JSON reader keeps exactly (RFC 8785, I-JSON)."""

MAX_REGISTERED = 1_000_000
"""Voters of one station: the bound of rule H100, so that sums over a million stations stay below 2^53."""

MAX_TOLERANCE = 1_000_000
"""A tolerance above the largest figure (H100) could never matter."""

MAX_SEATS = 10_000
"""Of one contest; the largest elected assembly has fewer than 3,000."""

MAX_MARKS = 1_000
"""Marks or preferences on one ballot paper."""

MAX_COMMISSION_KEYS = 64
"""Members who sign decisions; a national commission has 12 to 25."""

MAX_ID_CHARACTERS = 40
"""Of an election's id: it stands in certificates, file names and the log's origin."""

MAX_ORIGIN_BYTES = 200
"""Of the log's origin (docs/log.md)."""

MAX_TIMEZONE_BYTES = 64
"""Of an IANA time zone name; the longest today has 32."""

MAX_MEDIA_BYTES = 20 * MIB
"""Of one photograph or document: what an attachment may have."""

MAX_MEDIA_FILES = 4_000
"""In one election: each takes up to 250 bytes of information.json, which may have 1 MiB."""

MAX_MEDIA_NAME_BYTES = 100
"""Of a media file's name: every file system and archive takes it."""

MAX_AREA_DEPTH = 32
"""Levels below the root: country to precinct takes six or seven; every reader keeps to the same bound."""

MAX_STATIONS_AN_AREA = 1_000
"""In one lowest area before the builder warns: each packet rewrites its area's object, a row a station."""

MAX_OBJECT_BYTES = 16 * MIB
"""Of a public object, and of latest.json (docs/feed.md): what every reader of the feed takes."""

FIRST_NATIONAL_FIGURE = 100
"""Codes below are the format's own figures (docs/packet.md, Figures)."""

MAX_FAULTS_A_FILE = 1_000
"""Kept for the report; all are counted. A column that is wrong throughout needs no million sentences."""

MAX_FAULTS_SHOWN = 200
"""Printed by the commands: more than anybody reads before repairing the first."""

LANGUAGES = ("ky", "kk", "ru", "en")
"""Languages of names and pages, in the order of the columns."""
