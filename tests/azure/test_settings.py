"""The executor's options: where they come from, and what is refused before anything is created."""

import pytest

from snakemake.azure.batch.account import EMULATOR_ACCOUNT, EMULATOR_KEY, BatchAccount
from snakemake.azure.preflight.options import validate
from snakemake.azure.settings import (
    DEFAULT_NODES,
    DEFAULT_VM_SIZE,
    ExecutorSettings,
    SettingsError,
    endpoint,
    read_legacy_config,
    resolve,
)

URL = "https://acct.westeurope.batch.azure.com"
KEY = "c2VjcmV0LWtleS1vZi10aGUtdGVzdA=="


def legacy(tmp_path, text):
    path = tmp_path / "azbatch.yaml"
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    "given, expected",
    [
        (URL, URL),
        (URL + "/", URL),
        ("emulator", "http://127.0.0.1:10011"),
        ("emulator:12345", "http://127.0.0.1:12345"),
        ("http://127.0.0.1:7777", "http://127.0.0.1:7777"),
        ("http://localhost:7777/prefix/", "http://localhost:7777/prefix"),
    ],
)
def test_endpoint(given, expected):
    assert endpoint(given) == expected


@pytest.mark.parametrize(
    "url",
    [
        "acct.westeurope.batch.azure.com",
        "https://",
        "https://acct",
        "ftp://acct.westeurope.batch.azure.com",
        "http://acct.westeurope.batch.azure.com",
        "https://acct.westeurope.batch.azure.com:port",
        "https://acct.westeurope.batch.azure.com?x=1",
        "https://ac ct.westeurope.batch.azure.com",
        "emulator:",
        "emulator:0",
        "emulator:99999",
        "emulator:abc",
    ],
)
def test_malformed_url_names_the_option(url):
    with pytest.raises(SettingsError, match="--az-batch-account-url"):
        endpoint(url)


def test_no_secret_of_a_url_is_printed():
    with pytest.raises(SettingsError) as e:
        endpoint("https://me:hunter2@acct.westeurope.batch.azure.com?sig=hunter3")
    assert "hunter" not in str(e.value)


def test_order_is_option_environment_file_default(tmp_path):
    config = legacy(
        tmp_path,
        f"BATCH_ACCOUNT_URL: {URL}\nBATCH_POOL_NODE_COUNT: 3# Pool node count\nBATCH_POOL_VM_SIZE: 'Standard_D3_v2'\n"
        f"BATCH_ACCOUNT_NAME: 'acct'\nBATCH_ACCOUNT_KEY: '{KEY}'\n".replace("3#", "3 #"),
    )
    assert resolve(ExecutorSettings(), {}).account_url is None
    assert resolve(ExecutorSettings(), {}).vm_size == DEFAULT_VM_SIZE
    assert resolve(ExecutorSettings(), {}).nodes == DEFAULT_NODES
    from_file = resolve(ExecutorSettings(config=config), {})
    assert (from_file.account_url, from_file.vm_size, from_file.nodes) == (URL, "Standard_D3_v2", 3)
    environ = {"AZ_BATCH_ACCOUNT_URL": "https://other.eastus.batch.azure.com"}
    assert resolve(ExecutorSettings(config=config), environ).account_url == environ["AZ_BATCH_ACCOUNT_URL"]
    given = resolve(ExecutorSettings(config=config, account_url="emulator", nodes=DEFAULT_NODES), environ)
    assert given.account_url == "emulator" and given.nodes == DEFAULT_NODES
    account = BatchAccount.resolve(from_file, {})
    assert (account.name, account.key) == ("acct", KEY)


def test_pools_of_a_file(tmp_path):
    config = legacy(
        tmp_path,
        "pools:\n- vm-size: Standard_D8ds_v5\n  nodes: 20\n  slots-per-node: 4\n- vm-size: Standard_E32ds_v5\n"
        "- Standard_D4ds_v5,nodes=2\n",
    )
    settings = resolve(ExecutorSettings(config=config), {})
    assert settings.vm_size == "Standard_D8ds_v5,Standard_E32ds_v5,Standard_D4ds_v5"
    assert settings.pools == [
        "Standard_D8ds_v5,nodes=20,slots-per-node=4",
        "Standard_E32ds_v5",
        "Standard_D4ds_v5,nodes=2",
    ]


@pytest.mark.parametrize("other", ["vm_size", "pool_id"])
def test_pools_go_with_no_other_size(other):
    with pytest.raises(SettingsError, match="--az-batch-pools"):
        resolve(ExecutorSettings(pools=["Standard_D4ds_v5"], **{other: "Standard_D8ds_v5"}), {})


@pytest.mark.parametrize(
    "text, says",
    [
        ("BATCH_ACCOUNT: x", "Unknown key BATCH_ACCOUNT"),
        ("c2VjcmV0: x", "Unknown entry 1"),
        ("BATCH_ACCOUNT_KEY: [x]", "BATCH_ACCOUNT_KEY in .* must be a text"),
        ("- a\n- b", "must hold"),
        ("BATCH_ACCOUNT_KEY: [unclosed hunter2", "not YAML"),
        ("BATCH_POOL_NODE_COUNT: many", "whole number"),
        ("BATCH_POOL_NODE_COUNT: true", "whole number"),
    ],
)
def test_bad_legacy_file(tmp_path, text, says):
    with pytest.raises(SettingsError, match=says) as e:
        read_legacy_config(legacy(tmp_path, text))
    assert "hunter2" not in str(e.value)


def test_missing_legacy_file(tmp_path):
    with pytest.raises(SettingsError, match="--az-batch-config"):
        read_legacy_config(tmp_path / "none.yaml")


def test_settings_and_account_print_no_key(tmp_path):
    config = legacy(tmp_path, f"BATCH_ACCOUNT_URL: {URL}\nBATCH_ACCOUNT_KEY: {KEY}\n")
    settings = resolve(ExecutorSettings(config=config), {})
    assert KEY not in repr(settings)
    assert KEY not in repr(BatchAccount.resolve(settings, {}))
    assert KEY not in repr(read_legacy_config(config))


@pytest.mark.parametrize(
    "changes, option",
    [
        ({"account_url": None}, "--az-batch-account-url"),
        ({"vm_size": "Standard_Q4s_v3"}, "--az-batch-vm-size"),
        ({"vm_size": "big"}, "--az-batch-vm-size"),
        ({"nodes": 0}, "--az-batch-nodes"),
        ({"slots_per_node": 0}, "--az-batch-slots-per-node"),
        ({"slots_per_node": 17, "vm_size": "Standard_D4ds_v5"}, "--az-batch-slots-per-node"),
        ({"slots_per_node": 129}, "--az-batch-slots-per-node"),
        ({"vm_size": "auto,Standard_D4ds_v5"}, "--az-batch-vm-size"),
        ({"pools": ["Standard_Q4s_v3,nodes=2"]}, "Set --az-batch-pools"),
        ({"pools": ["auto,nodes=2"]}, "does not begin with the name of a VM size"),
        ({"pools": ["nodes=2"]}, "does not begin with the name of a VM size"),
        ({"pools": ["Standard_D4ds_v5,nodes=0"]}, "--az-batch-pools Standard_D4ds_v5,nodes 0 .* at least 1"),
        ({"pools": ["Standard_D4ds_v5,nodes=many"]}, "nodes=many"),
        ({"pools": ["Standard_D4ds_v5,spot=2"]}, "after the size come nodes=N and slots-per-node=N"),
        ({"pools": ["Standard_D4ds_v5,slots-per-node=17"]}, "Batch allows on Standard_D4ds_v5"),
        ({"pools": ["Standard_D4ds_v5", "standard_d4ds_v5,nodes=2"]}, "more than once"),
        ({"task_retries": -2}, "--az-batch-task-retries"),
        ({"node_timeout": 0}, "--az-batch-node-timeout"),
        ({"sas_hours": 0}, "--az-batch-sas-hours"),
        ({"pool_id": "my pool"}, "--az-batch-pool-id"),
        ({"pool_id": "p" * 65}, "--az-batch-pool-id"),
        ({"os_image": "ubuntu"}, "--az-batch-os-image"),
    ],
)
def test_refused_with_the_option_in_one_sentence(changes, option):
    settings = ExecutorSettings(**{"account_url": URL, **changes})
    with pytest.raises(SettingsError, match=option) as e:
        validate(resolve(settings, {}))
    assert "\n" not in str(e.value)


def test_accepted():
    validate(resolve(ExecutorSettings(account_url=URL, slots_per_node=16, task_retries=-1), {}))


@pytest.mark.parametrize(
    "settings, environ, expected",
    [
        ({"account_url": "emulator"}, {}, (EMULATOR_ACCOUNT, EMULATOR_KEY)),
        ({"account_url": URL}, {"AZ_BATCH_ACCOUNT_KEY": KEY}, ("acct", KEY)),
        ({"account_url": URL}, {"AZ_BATCH_ACCOUNT_NAME": "b", "AZ_BATCH_ACCOUNT_KEY": KEY}, ("b", KEY)),
        ({"account_url": URL}, {}, ("acct", None)),
    ],
)
def test_account(settings, environ, expected):
    account = BatchAccount.resolve(resolve(ExecutorSettings(**settings), environ), environ)
    assert (account.name, account.key) == expected


@pytest.mark.parametrize(
    "url, environ, names",
    [
        ("http://127.0.0.1:1", {"AZ_BATCH_ACCOUNT_KEY": KEY}, "AZ_BATCH_ACCOUNT_NAME"),
        ("http://127.0.0.1:1", {"AZ_BATCH_ACCOUNT_NAME": "a"}, "AZ_BATCH_ACCOUNT_KEY"),
        (URL, {"AZ_BATCH_ACCOUNT_KEY": "not a key!"}, "AZ_BATCH_ACCOUNT_KEY"),
    ],
)
def test_account_refused(url, environ, names):
    with pytest.raises(SettingsError, match=names) as e:
        BatchAccount.resolve(resolve(ExecutorSettings(account_url=url), environ), environ)
    assert "not a key!" not in str(e.value)


def test_the_emulators_published_account_is_the_clients():
    import azure_batch_emulator

    assert (azure_batch_emulator.DEV_ACCOUNT, azure_batch_emulator.DEV_KEY) == (
        EMULATOR_ACCOUNT,
        EMULATOR_KEY,
    )


@pytest.mark.parametrize(
    "given", [{"vm_size": "Standard_D4ds_v5"}, {"nodes": 3}, {"slots_per_node": 2}, {"os_image": "a:b:c"}]
)
def test_options_of_a_new_pool_contradict_an_existing_one(given):
    with pytest.raises(SettingsError, match="--az-batch-pool-id mine"):
        resolve(ExecutorSettings(account_url=URL, pool_id="mine", **given), {})
    assert resolve(ExecutorSettings(account_url=URL, pool_id="mine"), {}).pool_id == "mine"


def test_a_file_may_list_sizes_and_want_spot_nodes(tmp_path):
    config = legacy(tmp_path, "vm-size: [Standard_D4ds_v5, Standard_E8ds_v5]\nspot: true\n")
    settings = resolve(ExecutorSettings(config=config), {})
    assert (settings.vm_size, settings.spot) == ("Standard_D4ds_v5,Standard_E8ds_v5", 2)
    config = legacy(tmp_path, "vm-size: Standard_D4ds_v5\nspot: 5\n")
    assert resolve(ExecutorSettings(config=config), {}).spot == 5
