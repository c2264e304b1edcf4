"""How every test runs: property tests give the same verdict on every machine and do not race a loaded one.

`HYPOTHESIS_PROFILE=explore` looks for new examples instead, ten times as many.
"""

import os
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

if TYPE_CHECKING:
    from tests.boxport_client import Site

settings.register_profile("house", deadline=None, derandomize=True)
settings.register_profile("explore", deadline=None, max_examples=1000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "house"))


@pytest.fixture(scope="session")
def boxport_site(tmp_path_factory: pytest.TempPathFactory) -> "Site":
    """A rehearsal's certificates for the tests of the box port; only they pay for the import."""
    from tests.boxport_client import Site

    return Site(tmp_path_factory.mktemp("boxport"))
