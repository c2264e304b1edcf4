"""Programs that nobody here wrote, as judges of our formats.

`logdir` writes and checks a log's folder with each of our two implementations, `statements` makes good
statements, `gocheck` runs the Go program in `go/`. `require_program` is for every test that needs a program.
"""

import os
import shutil
from collections.abc import Mapping
from typing import NoReturn

import pytest

# CI sets it to 1: a peer that is not there is then a failure, so that no proof falls silent.
REQUIRED = "TALLYGATE_REQUIRE_PEERS"


def require_program(name: str, environment: Mapping[str, str] = os.environ) -> str:
    """The path of a program; without it the test is skipped, or fails under TALLYGATE_REQUIRE_PEERS=1."""
    path = shutil.which(name, path=environment.get("PATH"))
    if path is None:
        miss(f"{name} is not installed: it could not judge what we write", environment)
    return path


def miss(sentence: str, environment: Mapping[str, str] = os.environ) -> NoReturn:
    """Skip the test with a sentence, or fail it under TALLYGATE_REQUIRE_PEERS=1."""
    if environment.get(REQUIRED) == "1":
        pytest.fail(f"{sentence} ({REQUIRED}=1)")
    pytest.skip(sentence)
