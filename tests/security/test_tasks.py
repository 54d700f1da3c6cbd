"""What a task, or whoever gets hold of what it has, can do beyond its own run: each an attack that fails."""

import json
import subprocess

import pytest
from azure.core.exceptions import HttpResponseError
from executor.conftest import site  # noqa: F401

from snakemake.azure.blob.account import BlobAccount
from snakemake.azure.blob.service import connect

ATTACK = """
import json, os, sys
from azure.core.exceptions import HttpResponseError
from snakemake.azure.blob.account import BlobAccount
from snakemake.azure.blob.service import connect

names = [n for n in ("AZ_BLOB_ACCOUNT_URL", "AZ_BLOB_CONTAINER_SAS") if n in os.environ]
account = BlobAccount.resolve()
# Whatever SAS there is, for whatever place.
given = [account.sas] if account.sas else list(account.container_sas.values())
theirs, read, out = sys.argv[1:]
seen = {}
for number, sas in enumerate(given):
    service = connect(BlobAccount(account.url, account.name, sas=sas), patience=0)
    box, source = service.get_container_client(theirs), service.get_container_client(read)
    for what, attack in {
        "read": lambda: box.download_blob("data").readall(),
        "list": lambda: list(box.list_blobs()),
        "overwrite": lambda: box.upload_blob("data", b"gone", overwrite=True),
        "delete": lambda: box.delete_blob("data"),
        "delete container": box.delete_container,
        "own container": lambda: source.delete_container(),
        "new container": lambda: service.create_container("planted"),
        "containers": lambda: list(service.list_containers()),
        "change inputs": lambda: source.upload_blob("in", b"changed", overwrite=True),
        "policies": lambda: source.get_container_access_policy(),
    }.items():
        try:
            attack()
            seen[f"{what} {number}"] = "done"
        except HttpResponseError as error:
            seen[f"{what} {number}"] = error.status_code
with open(out, "w") as file:
    json.dump({"seen": seen, "stolen": {n: os.environ[n] for n in names}, "key": "AZ_BLOB_ACCOUNT_KEY" in os.environ}, file)
"""
WORKFLOW = """
rule attack:
    input: storage.azblob("az://READ/in"), script="attack.py"
    output: "out"
    shell: "python {input.script} THEIRS READ {output}"
"""


@pytest.fixture
def places(site):  # noqa: F811
    """Containers of another team, and one that the workflow only reads."""
    theirs, read = site.azurite.new_container(), site.azurite.new_container()
    theirs.upload_blob("data", b"theirs")
    read.upload_blob("in", b"in")
    return theirs, read


def test_a_task_reaches_its_containers_and_nothing_else_and_no_longer_than_the_run(site, places):  # noqa: F811
    theirs, read = places
    site.put("attack.py", ATTACK.encode())
    text = WORKFLOW.replace("THEIRS", theirs.container_name).replace("READ", read.container_name)
    site.write({"Snakefile": text})
    done = site.run()
    assert done.code == 0, done.last_error()
    found = json.loads(site.read("out"))
    assert len(found["seen"]) == 20 and set(found["seen"].values()) == {403} and not found["key"]
    assert theirs.download_blob("data").readall() == b"theirs" and read.download_blob("in").readall() == b"in"

    # Kept for later, it is worth nothing.
    service = connect(BlobAccount.resolve(environ=found["stolen"]), patience=0)
    for place in (read, site.container):
        with pytest.raises(HttpResponseError) as refused:
            list(service.get_container_client(place.container_name).list_blobs())
        assert refused.value.status_code == 403
        assert place.get_container_access_policy()["signed_identifiers"] == []
    site.assert_clean()


def test_a_container_that_comes_up_behind_a_checkpoint_is_for_the_tasks_too(site, places):  # noqa: F811
    _, read = places
    site.write(
        {
            "Snakefile": f"""
checkpoint which:
    output: "which"
    shell: "echo {read.container_name} > {{output}}"

def chosen(wildcards):
    with open(checkpoints.which.get().output[0]) as file:
        return storage.azblob(f"az://{{file.read().strip()}}/in")

rule last:
    default_target: True
    input: chosen
    output: "last"
    shell: "cat {{input}} > {{output}}"
"""
        }
    )
    done = site.run()
    assert done.code == 0, done.last_error()
    assert site.read("last") == "in"
    for place in (read, site.container):
        assert place.get_container_access_policy()["signed_identifiers"] == []


def test_a_task_cannot_plant_sources_for_the_next_one_on_its_node(site):  # noqa: F811
    site.write(
        {
            "honest.py": 'open(snakemake.output[0], "w").write("honest")\n',
            "Snakefile": """
rule next:
    input: "planted"
    output: "next"
    script: "honest.py"

rule plant:
    output: "planted"
    shell:
        "for f in $AZ_BATCH_NODE_SHARED_DIR/snakemake-sources-*/*/honest.py; do "
        "echo 'open(snakemake.output[0], chr(119)).write(chr(33))' > $f; echo $f; done > {output}"
""",
        }
    )
    done = site.run("--az-batch-nodes", "1")
    assert done.code == 0, done.last_error()
    assert "honest.py" in site.read("planted"), "there was nothing to change"
    assert site.read("next") == "honest"


def test_a_link_does_not_take_along_what_lies_outside(site, tmp_path):  # noqa: F811
    (tmp_path / "outside.key").write_text("secret of somebody else")
    site.write({"Snakefile": 'rule one:\n    output: "x"\n    shell: "cat *.key > {output}"\n'})
    (site.workdir / "cfg.key").symlink_to("../outside.key")
    for command in ("init -q .", "add -A ."):
        subprocess.run(["git", *command.split()], cwd=site.workdir, check=True)
    done = site.run()
    assert done.code == 1
    assert "cfg.key is a link to" in done.output and "Traceback" not in done.output
    assert site.left() == [] and site.blobs() == set()
