"""The same workflow with all its data in Blob Storage: it names no path that only one machine has."""

from .conftest import EXAMPLE, copied


def test_results_are_the_same_with_all_data_in_blob_storage(azurite, finished, tmp_path):
    container = azurite.new_container()
    for file in (EXAMPLE / "data").iterdir():
        container.upload_blob(f"lambda/data/{file.name}", file.read_bytes())
    workflow = copied(tmp_path / "variants", without=("data",))
    storage = ["--default-storage-provider", "azblob"]
    storage += ["--default-storage-prefix", f"az://{container.container_name}/lambda"]
    environment = {"AZ_BLOB_ACCOUNT_URL": azurite.url, "AZ_BLOB_ACCOUNT_KEY": azurite.key}
    run = workflow.run(*storage, environment=environment)
    assert run.returncode == 0, run.stdout
    assert azurite.key not in run.stdout

    names = {blob.name.removeprefix("lambda/") for blob in container.list_blobs(name_starts_with="lambda/")}
    # The mark of a directory is a blob that has the directory's own name.
    blobs = {name for name in names if not any(other.startswith(f"{name}/") for other in names)}
    results = {p.relative_to(finished.directory).as_posix() for p in finished.results()}
    assert {name for name in blobs if name.startswith("results/")} == results
    for name in sorted(results):
        if name.endswith((".tsv", ".txt")) or name.startswith("results/truth/"):
            stored = container.download_blob(f"lambda/{name}").readall()
            assert stored == (finished.directory / name).read_bytes(), name
    assert not (workflow.directory / "results").exists()
