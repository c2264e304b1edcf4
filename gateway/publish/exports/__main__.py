"""The child process of `gateway.publish.exports.task`: a job as JSON on its standard input, then the answer.

It inherits one open file and nothing else: no key, no socket, no ledger.
"""

import gc
import os
import sys

import msgspec

from gateway.base.errors import TallygateError
from gateway.publish.exports.make import Fault, Job, Made, make

# Everybody else goes first (nice(2)).
_LOWEST = 19


def main() -> int:
    """0: a `Made` was written; 1: a `Fault`."""
    os.nice(_LOWEST)
    # Millions of rows that form no cycles, in a process that soon ends: nothing to look for.
    gc.disable()
    job = msgspec.json.decode(sys.stdin.buffer.read(), type=Job)
    answer: Made | Fault
    try:
        answer = make(job)
    except TallygateError as error:
        answer = Fault(error.code, str(error))
    except OSError as error:
        answer = Fault("export.disk", str(error))
    sys.stdout.buffer.write(msgspec.json.encode(answer))
    return 0 if isinstance(answer, Made) else 1


if __name__ == "__main__":
    sys.exit(main())
