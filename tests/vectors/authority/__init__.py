"""Vectors of the commission's decisions: what is taken, void, in effect (docs/packet.md, "Decisions")."""
