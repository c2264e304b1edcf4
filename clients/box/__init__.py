"""The ballot box's program `tallygate-box`: keys made in the device, counts made into signed statements.

`cli` is the command line; `folder` and `spool` are the device's folder; `enrol` and `bundle` are two ways to
its keys; `counts` reads a file of counts, `plausible` says what the tally will make of it; `show` writes any
statement out for people.
"""
