"""Fixtures of the fault tests."""

from collections.abc import Iterator

import pytest

from tests.trained import without_plots


@pytest.fixture(autouse=True)
def no_plots(request: pytest.FixtureRequest) -> Iterator[None]:
    """Quick epochs for the tests that train."""
    if "trained_root" not in request.fixturenames:
        yield
        return
    with without_plots():
        yield
