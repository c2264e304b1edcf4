"""The fleet: every box and terminal of a rehearsal, played in one process over real connections.

Its devices send as the box's own program does (`clients.box.send`); what is different is where their counts
come from, that they live in memory, and what is done to them on purpose (`clients.fleet.faults`).
"""
