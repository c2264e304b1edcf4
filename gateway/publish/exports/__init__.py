"""What media and researchers take away: files made from one snapshot (docs/exports.md), a module a format.

`task` decides when, and signs; `make` is what its child process does, at the lowest priority and with nothing
but the feed's public files.
"""
