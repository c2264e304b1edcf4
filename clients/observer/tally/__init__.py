"""The second implementation of the tally, in plain Python, written from docs/tally.md.

`Tally` folds a log's entries into objects; nothing here reads a file, a clock or the network.
"""

from clients.observer.tally.fold import Tally

__all__ = ["Tally"]
