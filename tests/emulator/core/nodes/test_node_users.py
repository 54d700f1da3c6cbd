"""How long accounts on nodes live."""

import pytest

from azure_batch_emulator.core.nodes import node_users
from azure_batch_emulator.protocol.errors import BatchError

from ..builders import Driver

DAY = 86400


@pytest.fixture
def driver():
    return Driver()


@pytest.fixture
def node(driver):
    (node,) = driver.pool().nodes.values()
    return node


def test_an_account_lives_to_the_end_of_the_day_after(driver, node):
    driver.do(node_users.create, node, {"name": "me", "password": "p"})
    driver.advance(1.9 * DAY)
    with pytest.raises(BatchError, match="NodeUserExists"):
        driver.do(node_users.create, node, {"name": "me", "password": "p"})
    driver.advance(0.2 * DAY)
    with pytest.raises(BatchError, match="NodeUserNotFound"):
        driver.do(node_users.delete, node, "me")
    driver.do(node_users.create, node, {"name": "me", "password": "p"})


def test_a_replacement_sets_everything_anew(driver, node):
    body = {"name": "me", "password": "p", "expiryTime": "2027-01-01T00:00:00Z"}
    user = driver.do(node_users.create, node, body)
    driver.do(node_users.replace, node, "me", {})
    assert (user.has_password, user.ssh_public_key) == (False, None)
    assert user.expiry == driver.now + node_users.LIFETIME
