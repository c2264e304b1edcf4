"""The box port: mutual TLS 1.3 and HTTP/1.1 in, receipts and problem documents out (docs/box-port.md)."""

from gateway.boxport.port import BoxPort, bound_address, open_listeners
from gateway.boxport.tls import BoxTls

__all__ = ["BoxPort", "BoxTls", "bound_address", "open_listeners"]
