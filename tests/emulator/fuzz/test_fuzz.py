"""Thousands of odd requests: whatever is sent, the service answers at once and in its own way, and what it refuses
changes nothing.

AZBATCH_FUZZ=N sends N times as many, other ones on each run.
"""

import os
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from .requests import NODE, requests
from .service import Service, is_an_answer_of_the_service

MORE = int(os.environ.get("AZBATCH_FUZZ", "0"))


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    service = Service(tmp_path_factory.mktemp("nodes"))
    service.start()
    yield service
    service.stop()


@settings(
    max_examples=80 * max(1, MORE),
    derandomize=not MORE,
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
)
@given(st.lists(requests(), min_size=20, max_size=30))
def test_odd_requests(service, wanted):
    service.refresh()
    for request in wanted:
        request = replace(request, target=request.target.replace(NODE, service.node))
        wrong = is_an_answer_of_the_service(request, service.send(request))
        assert wrong is None, f"{request}: {wrong}"
