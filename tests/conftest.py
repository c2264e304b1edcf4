"""How every test runs: property tests give the same verdict on every machine and do not race a loaded one.

`HYPOTHESIS_PROFILE=explore` looks for new examples instead, ten times as many.
"""

import os

from hypothesis import settings

settings.register_profile("house", deadline=None, derandomize=True)
settings.register_profile("explore", deadline=None, max_examples=1000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "house"))
