"""The other side of the wire: boxes and observers. Nothing here is shared with `gateway`."""
