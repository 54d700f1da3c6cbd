"""What Snakemake sees: storage objects, their cache, and the plugin's package."""

import asyncio
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest
from snakemake.io import IOCache
from snakemake_interface_common.exceptions import WorkflowError
from snakemake_interface_storage_plugins.storage_provider import StorageQueryValidationResult

from snakemake.azure.blob.account import NOT_FOR_NODES
from snakemake.azure.blob.errors import BlobError
from snakemake_storage_plugin_azblob import StorageProvider


def test_the_package_does_not_load_the_sdk():
    code = (
        "import sys, snakemake_storage_plugin_azblob as plugin;"
        "plugin.StorageProvider.is_valid_query('az://abc/x');"
        "loaded = [m for m in sys.modules if m == 'azure' or m.startswith(('azure.', 'requests', 'msal'))];"
        "assert not loaded, loaded"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_snakemake_finds_it():
    from snakemake_interface_storage_plugins.registry import StoragePluginRegistry

    plugin = StoragePluginRegistry().get_plugin("azblob")
    assert plugin.is_read_write()
    # What can hold a secret is handed to jobs as a variable, never in a command line.
    as_variable = {info["name"] for info in plugin.get_settings_info() if info["env_var"]}
    assert as_variable == {"account_url", "account_key", "connection_string"}
    assert {plugin.get_envvar(name) for name in as_variable} <= NOT_FOR_NODES


def test_nothing_is_resolved_or_sent_before_the_first_use(tmp_path):
    import logging

    provider = StorageProvider(local_prefix=tmp_path, logger=logging.getLogger(__name__), settings=None)
    blob = provider.object("az://abc/x")
    assert blob.local_path() == tmp_path / "abc/x"
    with pytest.raises(WorkflowError, match="AZ_BLOB_ACCOUNT_URL"):
        blob.exists()


@pytest.mark.parametrize("query", ["az://abc/{sample}.txt", "az://{box}/x", "az://abc/dir/"])
def test_valid_queries(query):
    assert StorageProvider.is_valid_query(query)


def test_an_invalid_query_has_a_reason_and_no_secret():
    result = StorageProvider.is_valid_query("az://abc/x?sig=secret")
    assert isinstance(result, StorageQueryValidationResult) and not result
    assert "secret" not in str(result) and "AZ_BLOB_ACCOUNT_URL" in str(result)


def test_one_client_for_all_threads(provider, blob):
    with ThreadPoolExecutor(8) as pool:
        services = list(pool.map(lambda n: blob(str(n)).store.service, range(8)))
    assert len({id(s) for s in services}) == 1


class TestObjects:
    def test_a_file(self, blob, container):
        container.upload_blob("p/x", b"1234")
        x = blob("p/x")
        assert x.exists() and x.size() == 4 == x.local_footprint()
        assert x.mtime() == container.get_blob_client("p/x").get_blob_properties().last_modified.timestamp()
        assert x.checksum() == "md5:81dc9bdb52d04dc20036dbd8313ed055"

    def test_a_directory(self, blob, container):
        container.upload_blob("p/d/x", b"1234")
        container.upload_blob("p/d/e/y", b"12")
        d = blob("p/d/")
        assert d.query.endswith("p/d")
        assert d.exists() and d.size() == 0 and d.local_footprint() == 6 and d.checksum() is None
        newest = container.get_blob_client("p/d/e/y").get_blob_properties().last_modified.timestamp()
        assert d.mtime() == newest

    def test_nothing(self, blob):
        missing = blob("p/x")
        assert not missing.exists()
        for ask in (missing.mtime, missing.size, missing.retrieve_object):
            with pytest.raises(BlobError, match="az://.*/p/x: there is no such blob or directory"):
                ask()
        missing.remove()

    def test_a_missing_local_file_is_not_stored_in_silence(self, blob):
        x = blob("p/x")
        with pytest.raises(WorkflowError, match="local copy .* does not exist"):
            asyncio.run(x.managed_store())
        assert not x.exists()

    def test_several_transfers_at_once(self, azurite, blob, container):
        async def all_of(method, objects):
            async with asyncio.TaskGroup() as group:
                for thing in objects:
                    group.create_task(getattr(thing, method)())

        objects = [blob(f"p/{n}") for n in range(12)]
        for n, thing in enumerate(objects):
            thing.local_path().parent.mkdir(parents=True, exist_ok=True)
            thing.local_path().write_text(str(n))
        asyncio.run(all_of("managed_store", objects))
        for thing in objects:
            thing.local_path().unlink()
        asyncio.run(all_of("managed_retrieve", objects))
        assert [thing.local_path().read_text() for thing in objects] == [str(n) for n in range(12)]

    def test_many_small_files_are_one_request_each(self, azurite, blob, container):
        async def all_of(method, objects):
            async with asyncio.TaskGroup() as group:
                for thing in objects:
                    group.create_task(getattr(thing, method)())

        objects = [blob(f"p/{n}") for n in range(100)]
        objects[0].local_path().parent.mkdir(parents=True)
        for n, thing in enumerate(objects):
            thing.local_path().write_text(str(n))
        mark = azurite.mark()
        asyncio.run(all_of("managed_store", objects))
        assert [r.method for r in azurite.requests(mark)] == ["PUT"] * 100
        for thing in objects:
            thing.local_path().unlink()
        mark = azurite.mark()
        asyncio.run(all_of("managed_retrieve", objects))
        assert [r.method for r in azurite.requests(mark)] == ["GET"] * 100
        assert [thing.local_path().read_text() for thing in objects] == [str(n) for n in range(100)]

    def test_who_waits_for_space_asks_for_the_size_first(self, azurite, provider, blob, container):
        container.upload_blob("p/x", b"1")
        provider.wait_for_free_local_storage = 1
        mark = azurite.mark()
        asyncio.run(blob("p/x").managed_retrieve())
        assert [r.method for r in azurite.requests(mark)] == ["HEAD", "GET"]

    def test_a_missing_output_is_looked_for_once_in_a_moment(self, azurite, blob, tmp_path):
        x = blob("p/x")
        mark = azurite.mark()
        assert not x.exists() and not x.exists()
        assert len(azurite.requests(mark)) == 2  # is there a blob, and is there anything below it?
        x.local_path().parent.mkdir(parents=True)
        x.local_path().write_text("1")
        x.store_object()
        assert x.exists()

    def test_one_failure_among_several_is_the_one_reported(self, blob, container):
        async def retrieve():
            async with asyncio.TaskGroup() as group:
                for name in ("p/0", "p/missing", "p/1"):
                    group.create_task(blob(name).managed_retrieve())

        for n in range(2):
            container.upload_blob(f"p/{n}", b"x")
        with pytest.raises(ExceptionGroup) as error:
            asyncio.run(retrieve())
        assert "no such blob" in str(error.value.exceptions[0])
        asyncio.run(blob("p/1").managed_retrieve())


class TestGlob:
    def matches(self, blob, pattern):
        thing = blob(pattern)
        start = thing.query.index(thing.container) + len(thing.container) + 1
        return [query[start:] for query in thing.list_candidate_matches()]

    def test_files_and_directories_from_the_constant_prefix(self, azurite, blob, container):
        for name in ("p/a 1.txt", "p/b#%20.txt", "p/sub/c.txt", "q/x.txt", "p2/y.txt"):
            container.upload_blob(name, b"")
        mark = azurite.mark()
        assert self.matches(blob, "p/{s}.txt") == ["p/a 1.txt", "p/b#%20.txt", "p/sub", "p/sub/c.txt"]
        assert len(azurite.requests(mark)) == 1
        assert self.matches(blob, "p{s}") == [
            *["p", "p/a 1.txt", "p/b#%20.txt", "p/sub", "p/sub/c.txt"],
            *["p2", "p2/y.txt"],
        ]
        assert self.matches(blob, "{any}/x.txt")[-2:] == ["q", "q/x.txt"]

    def test_no_container_no_matches(self, provider):
        assert list(provider.object("az://no-such-container/{s}").list_candidate_matches()) == []

    def test_a_wildcard_in_the_container_is_refused(self, provider):
        with pytest.raises(WorkflowError, match="must not have a wildcard"):
            provider.object("az://abc{x}/y").list_candidate_matches()


class TestInventory:
    def test_a_thousand_files_are_a_handful_of_requests(self, azurite, provider, blob, container):
        with ThreadPoolExecutor(16) as pool:
            list(
                pool.map(lambda n: container.upload_blob(f"p/{n % 10}/{n}.txt", b"x" * (n % 3)), range(1000))
            )
        cache = IOCache(max_wait_time=60)
        objects = [blob(f"p/{n % 10}/{n}.txt") for n in range(1000)] + [blob("p/3/missing.txt")]
        mark = azurite.mark()
        for thing in objects:
            asyncio.run(thing.inventory(cache))
        requests = azurite.requests(mark)
        assert all(r.is_list for r in requests) and len(requests) == 3
        for n, thing in enumerate(objects[:1000]):
            key = thing.cache_key()
            assert cache.exists_in_storage[key] is True
            assert cache.size[key] == n % 3
            assert cache.mtime[key].storage() > 0
            assert cache.checksum[key].startswith("md5:")
        missing = objects[-1]
        assert missing.get_inventory_parent() in cache.exists_in_storage.has_inventory
        assert missing.cache_key() not in cache.mtime

    def test_what_others_have_in_the_container_is_not_listed(self, azurite, blob, container):
        names = [f"{top}/{n}/x" for top in ("data", "logs", "out", "refs") for n in range(4)]
        for name in [*names, "others/x"]:
            container.upload_blob(name, b"")
        cache = IOCache(max_wait_time=60)
        mark = azurite.mark()
        for name in names:
            asyncio.run(blob(name).inventory(cache))
            assert cache.exists_in_storage[blob(name).cache_key()]
        requests = azurite.requests(mark)
        assert len(requests) == 12
        assert all("prefix=" in r.path and "prefix=others" not in r.path for r in requests)

    def test_what_it_says_is_what_the_objects_say(self, blob, container, provider, tree):
        provider.store.upload_directory(
            container.container_name, "p/marked", tree("in", {"x": "1", "sub/": ""})
        )
        container.upload_blob("p/plain/x", b"123")
        container.upload_blob("p/slash/", b"")
        container.upload_blob("p/file", b"12")
        for whole in (False, True):
            cache = IOCache(max_wait_time=60)
            names = ["p/file", "p/marked", "p/plain", "p/slash", "p/marked/sub", "p/none"]
            if whole:
                names += ["p/a/x", "p/b/x", "p/c/x"]
            for name in names:
                asyncio.run(blob(name).inventory(cache))
            for name in names:
                thing = blob(name)
                key = thing.cache_key()
                assert thing.get_inventory_parent() in cache.exists_in_storage.has_inventory
                assert cache.exists_in_storage[key] == thing.exists(), name
                if key in cache.mtime:
                    assert cache.mtime[key].storage() == thing.mtime(), name
                if key in cache.size:
                    assert cache.size[key] == thing.size(), name
            assert (blob("p/plain").cache_key() in cache.mtime) == whole

    def test_no_time_no_listing(self, azurite, blob, container):
        cache = IOCache(max_wait_time=0)
        mark = azurite.mark()
        asyncio.run(blob("p/x").inventory(cache))
        assert azurite.requests(mark) == []
        assert not asyncio.run(blob("p/x").managed_exists())

    def test_a_missing_container_has_nothing(self, provider):
        cache = IOCache(max_wait_time=60)
        thing = provider.object(f"az://none-{os.urandom(4).hex()}/p/x")
        asyncio.run(thing.inventory(cache))
        assert thing.get_inventory_parent() in cache.exists_in_storage.has_inventory
        assert not cache.exists_in_storage[thing.cache_key()]
