"""Limits of a night: each with its unit, its reason and, where there is one, its precedent.

They are the defaults of `tallygate.toml` (`gateway.base.config`). What a format fixes (16,384 bytes a
statement, 16 attachments a packet) is not here: nobody may configure that.
"""

# Connections open at once. One costs about 13 KiB: 4,096 stay under 64 MiB and under 8,192 open files.
CONNECTIONS = 4_096

# Seconds for a TLS handshake: three round trips over a satellite line with one loss (nginx allows 60).
HANDSHAKE_SECONDS = 10
# … and while the cap is reached, when a slow stranger keeps a box waiting.
HANDSHAKE_SECONDS_UNDER_PRESSURE = 5

# Seconds for one whole request with at most 16 KiB of body: a 56k modem needs three.
REQUEST_SECONDS = 10

# Seconds that a connection may be open without a request. Nobody's connection is closed for a newcomer, so
# idle ones must end by themselves: 4,096 in 5 s leave room for 800 new boxes a second.
IDLE_SECONDS = 5

# Bytes a second that the upload of a scan must reach; its deadline is size ÷ this + REQUEST_SECONDS.
ATTACHMENT_BYTES_PER_SECOND = 1_024

# Bytes of stored scans that one device's statements name: its slips and the pages of some protocols, however
# often they are scanned. Above it somebody has to look.
ATTACHMENT_BYTES_PER_DEVICE = 268_435_456
# A desk scans for many stations: so many more for each station of its area, some thirty pages.
ATTACHMENT_BYTES_PER_DESK_STATION = 67_108_864
# Bytes on top of DISK_RESERVE_BYTES that scans leave free: a million statements come before any scan.
ATTACHMENT_RESERVE_BYTES = 1_073_741_824

# Requests on one connection: everything a box has to say in a night, then it may connect again.
REQUESTS_PER_CONNECTION = 100

# Connections of one certificate: one that works and one that the box has given up but we have not yet.
CONNECTIONS_PER_CERTIFICATE = 2

# Statements waiting for the ledger: two seconds at a thousand a second, REQUEST_SECONDS at a fifth of that. A
# connection has one at a time: a queue that is not smaller than CONNECTIONS is never full.
QUEUE_STATEMENTS = 2_048
# Statements in one transaction: at most 16 MiB, tens of milliseconds to verify on two cores.
BATCH_STATEMENTS = 1_024

# Bytes that stay free on the ledger's disk: SQLite's WAL and one checkpoint must always fit.
DISK_RESERVE_BYTES = 1_073_741_824

# Requests a minute of one certificate. A box needs about ten in a night's busiest minute.
DEVICE_REQUESTS_PER_MINUTE = 120
# A courier carries a district of boxes, a commission's computer the decisions.
COURIER_REQUESTS_PER_MINUTE = 3_000

# New entries of one device over one certificate: hourly turnout for days, results, corrections and repeats.
ENTRIES_PER_DEVICE = 256
# A desk speaks for many stations: so many more for each station of its area.
ENTRIES_PER_DESK_STATION = 16
# Bytes of the packets of one device that name one station: thirty-two of the largest. All stand in the
# station's object, at up to 4 bytes for one, and observers read objects of at most 64 MiB: a device adds 2 of
# them, for however many stations it has entries.
STATION_BYTES_PER_DEVICE = 524_288
# Bytes of the decisions of one member of the commission: ten thousand with a sentence each. Their file in the
# feed is made anew whenever one comes, so one stolen key must not make it as large as it likes.
DECISION_BYTES_PER_MEMBER = 4_194_304

# Refusals kept for the operator: forty for each of 2,400 stations; a flood cannot fill the disk.
REFUSALS_KEPT = 100_000

# Connections of readers to the public port. One that stalls in an answer costs some 130 KiB: 1,024 stay under
# 128 MiB; what stands before it (nginx, a CDN) needs a few dozen.
WEB_CONNECTIONS = 1_024
