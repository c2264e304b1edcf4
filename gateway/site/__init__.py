"""The public port: the feed's files and plain pages over HTTP, for the world or whatever stands before it."""
