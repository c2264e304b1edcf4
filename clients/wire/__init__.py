"""The second implementation of Tallygate's formats, for boxes and observers.

Written from the same text as the gateway's Rust core (docs/packet.md, docs/log.md) and from nothing else: it
imports nothing of `gateway`, and takes Ed25519 from libsodium where the core has its own. Two readers that
agree on every byte are the proof that the text is clear. Everything here is pure: bytes in, values out, no
clock, no network; only the manifests and tables read files, and only `client` talks to a gateway.
"""
