"""A commission's desk: stations' paper protocols, keyed in twice, signed and sent (docs/desk.md).

A desk is a device like a ballot box: its folder, its chain of statements and its sending are `clients.box`.
"""
