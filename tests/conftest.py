"""What holds for all tests."""

import pytest
from hypothesis import HealthCheck, settings

from tests.once import close_run, open_run

# A fifth of a second for an example, the default where no CI is recognized, is less than a busy machine may pause a
# process. What is added to the profile in use, which differs in CI, stays.
settings.register_profile("no-deadline", settings(), deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("no-deadline")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    # At the end, a long test would keep one core busy and the others idle. The order stays random otherwise.
    items.sort(key=lambda item: item.get_closest_marker("slow") is None)


def pytest_configure(config: pytest.Config) -> None:
    folder = open_run()
    if folder is not None:
        config.add_cleanup(lambda: close_run(folder))
