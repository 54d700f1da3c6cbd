import pytest

from .builders import Driver


@pytest.fixture
def driver():
    return Driver()
