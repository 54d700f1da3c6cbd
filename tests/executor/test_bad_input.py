"""Everything that can be wrong is told in one message that names what to set, before anything is created."""

import re

import pytest

WORKFLOW = """
rule copy:
    input: "in.txt"
    output: "out.txt"
    shell: "cp {input} {output}"
"""

KEY = "d3Jvbmcta2V5LXdyb25nLWtleS13cm9uZy1rZXk="


def without(*names):
    return lambda site: [site.environ.pop(name, None) for name in names]


def setting(**variables):
    return lambda site: site.environ.update(variables)


def rule_of_another_size(site):
    site.write(
        {"Snakefile": WORKFLOW.replace("    shell", "    resources: az_vm_size='Standard_Q4s_v3'\n    shell")}
    )


def no_input(site):
    site.container.delete_blob("run/in.txt")


def snakefile_elsewhere(site):
    (site.workdir.parent / "elsewhere").mkdir()
    (site.workdir / "Snakefile").rename(site.workdir.parent / "elsewhere" / "Snakefile")


def script_elsewhere(site):
    (site.workdir.parent / "x.py").write_text("")
    site.write({"Snakefile": WORKFLOW.replace('shell: "cp {input} {output}"', 'script: "../x.py"')})


def nothing(site):
    pass


CASES = {
    "no account URL": (
        without("AZ_BATCH_ACCOUNT_URL"),
        {"az_batch_account_url": None},
        "--az-batch-account-url",
    ),
    "malformed URL": (
        nothing,
        {"az_batch_account_url": "acct.batch"},
        "--az-batch-account-url acct.batch is malformed",
    ),
    "http URL": (
        nothing,
        {"az_batch_account_url": "http://acct.westeurope.batch.azure.com"},
        "--az-batch-account-url",
    ),
    "no emulator": (nothing, {"az_batch_account_url": "emulator:9"}, "azure-batch-emulator start"),
    "nobody there": (nothing, {"az_batch_account_url": "http://127.0.0.1:9"}, "--az-batch-account-url"),
    "no key": (without("AZ_BATCH_ACCOUNT_KEY"), {}, "AZ_BATCH_ACCOUNT_KEY"),
    "no name": (without("AZ_BATCH_ACCOUNT_NAME"), {}, "AZ_BATCH_ACCOUNT_NAME"),
    "wrong key": (setting(AZ_BATCH_ACCOUNT_KEY=KEY), {}, "AZ_BATCH_ACCOUNT_KEY"),
    "wrong name": (setting(AZ_BATCH_ACCOUNT_NAME="other"), {}, "AZ_BATCH_ACCOUNT_NAME"),
    "key that is none": (setting(AZ_BATCH_ACCOUNT_KEY="hunter2!"), {}, "AZ_BATCH_ACCOUNT_KEY"),
    "no storage account": (without("AZ_BLOB_ACCOUNT_URL", "AZ_BLOB_ACCOUNT_KEY"), {}, "AZ_BLOB_ACCOUNT_URL"),
    "no storage key": (without("AZ_BLOB_ACCOUNT_KEY"), {}, "AZ_BLOB_ACCOUNT_KEY"),
    "wrong storage key": (setting(AZ_BLOB_ACCOUNT_KEY=KEY), {}, "AZ_BLOB_ACCOUNT_"),
    "no storage service": (
        setting(AZ_BLOB_ACCOUNT_URL="http://127.0.0.1:9/devstoreaccount1"),
        {},
        "AZ_BLOB_ACCOUNT_URL",
    ),
    "no prefix": (nothing, {"default_storage_prefix": None}, "--default-storage-prefix"),
    "prefix of another kind": (
        nothing,
        {"default_storage_prefix": "s3://bucket"},
        "--default-storage-prefix",
    ),
    "container that Azure refuses": (
        nothing,
        {"default_storage_prefix": "az://My_Container/x"},
        "--default-storage-prefix",
    ),
    "other provider": (nothing, {"default_storage_provider": "none"}, None),
    "unknown VM size": (nothing, {"az_batch_vm_size": "Standard_Q4s_v3"}, "--az-batch-vm-size"),
    "unknown VM size of a rule": (rule_of_another_size, {}, "Standard_Q4s_v3"),
    "no image": (nothing, {"container_image": None}, "--container-image"),
    "malformed image": (nothing, {"container_image": "Registry/Image:tag"}, "--container-image"),
    "no such pool": (nothing, {"az_batch_pool_id": "none"}, "--az-batch-pool-id"),
    "no such OS image": (nothing, {"az_batch_os_image": "a:b:c"}, "--az-batch-os-image"),
    "no jobs": (nothing, {"jobs": None}, "--jobs"),
    "Snakefile outside": (snakefile_elsewhere, {"snakefile": "../elsewhere/Snakefile"}, "--directory"),
    "script outside": (script_elsewhere, {}, "--directory"),
    "missing input": (no_input, {}, "in.txt"),
    "two executors": (nothing, {"executor": "local"}, "--executor local"),
    "missing config file": (nothing, {"az_batch_config": "none.yaml"}, "--az-batch-config"),
}
CASES["other provider"] = (nothing, {"default_storage_provider": "s3"}, "--default-storage-provider azblob")


@pytest.mark.parametrize("name", CASES)
def test_refused(site, name):
    prepare, changes, says = CASES[name]
    site.write({"Snakefile": WORKFLOW})
    site.put("in.txt")
    before = site.blobs()
    prepare(site)
    result = site.run(**changes)
    assert result.code == 1, result.output
    assert "Traceback" not in result.output and not re.search(r'^\s+File "', result.output, re.M), (
        result.output
    )
    assert says in result.output, result.output
    for secret in ("hunter2", KEY, site.azurite.key, site.emulator.key):
        assert secret not in result.output
    assert site.left() == []
    assert site.blobs() <= before


@pytest.mark.parametrize(
    "resources, says",
    [
        ("threads: 64", "az_vm_size"),
        ("resources: mem_mb=999999", "az_vm_size"),
        ("resources: az_slots=99", "az_slots"),
        ("resources: az_slots='many'", "az_slots"),
    ],
)
def test_a_job_that_fits_nowhere_is_told_before_anything_is_made(site, resources, says):
    before = site.blobs()
    site.write(
        {
            "Snakefile": f'rule all:\n    input: "a", "b"\nrule big:\n    output: "a"\n    {resources}\n'
            '    shell: "touch {output}"\nrule small:\n    output: "b"\n    shell: "touch {output}"\n'
        }
    )
    for arguments in (["--keep-going"], ["-n"]):
        result = site.run(*arguments)
        assert result.code == 1 and "created" not in result.output, result.output
        assert says in result.output and "Traceback" not in result.output, result.output
    assert site.blobs() == before and not site.left()


def test_a_container_that_is_not_there_yet_is_made(site):
    site.write({"Snakefile": 'rule one:\n    output: "x"\n    shell: "echo 1 > {output}"\n'})
    name = f"{site.container.container_name}-new"
    result = site.run(default_storage_prefix=f"az://{name}/run")
    assert result.code == 0, result.last_error()
    assert site.azurite.service().get_blob_client(name, "run/x").exists()
    site.assert_clean()
