"""What holds for all tests."""

import pytest
from hypothesis import HealthCheck, settings

from tests.once import close_run, open_run

# A fifth of a second for an example, the default where no CI is recognized, is less than a busy machine may pause a
# process. What is added to the profile in use, which differs in CI, stays.
settings.register_profile("no-deadline", settings(), deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("no-deadline")


def pytest_configure(config: pytest.Config) -> None:
    folder = open_run()
    if folder is not None:
        config.add_cleanup(lambda: close_run(folder))
