"""Names and queries, by table."""

import pytest

from snakemake.azure.blob.names import (
    blob_name_fault,
    container_name_fault,
    query_fault,
    split_query,
)


@pytest.mark.parametrize("name", ["abc", "a-b", "a1-2b", "0ab", "a" * 63, "$root", "$web", "$logs"])
def test_container_names_that_azure_takes(name):
    assert container_name_fault(name) is None


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("ab", "3 to 63"),
        ("", "3 to 63"),
        ("a" * 64, "3 to 63"),
        ("Abc", "lower-case"),
        ("a_b", "lower-case"),
        ("a.b", "lower-case"),
        ("äbc", "lower-case"),
        ("$other", "lower-case"),
        ("-abc", "hyphen"),
        ("abc-", "hyphen"),
        ("a--b", "hyphen"),
    ],
)
def test_container_names_that_azure_refuses(name, reason):
    assert reason in (container_name_fault(name) or "")


@pytest.mark.parametrize(
    "name",
    ["a", "a/b", "a b#c%20+?&=.txt", "sig=1/x", "日本/ü.txt", ".hidden", "a..b", "/".join(["x" * 255] * 4)],
)
def test_blob_names_that_work(name):
    assert blob_name_fault(name) is None


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("", "1 to 1,024"),
        ("x" * 1025, "1 to 1,024"),
        ("a.", "ends with a dot"),
        ("a./b", "ends with a dot"),
        ("a/...", "ends with a dot"),
        ("a/" + "x" * 256, "segment of 256 bytes"),
        ("日" * 86 + "/b", "segment of 258 bytes"),
        ("a/", "ends with"),
        ("a//b", "empty path segment"),
        ("/a", "empty path segment"),
        ("a/../b", "`..`"),
        ("./a", "`.`"),
        ("/".join("a" * 255), "255 path segments"),
        ("a\\b", "backslash"),
        ("a\nb", "control character"),
        ("a\udcffb", "not UTF-8"),
    ],
)
def test_blob_names_that_do_not(name, reason):
    assert reason in (blob_name_fault(name) or "")


@pytest.mark.parametrize(
    ("query", "parsed"),
    [
        ("az://abc/x", ("abc", "x")),
        ("az://abc/x/y.txt", ("abc", "x/y.txt")),
        ("az://abc/dir/", ("abc", "dir")),
        ("az://abc/sig=0.05/x", ("abc", "sig=0.05/x")),
        ("az://abc/a b#c%20+?.txt", ("abc", "a b#c%20+?.txt")),
        ("az://$web/index.html", ("$web", "index.html")),
        ("az://abc/{sample}/{n,[0-9]+}.txt", ("abc", "{sample}/{n,[0-9]+}.txt")),
        ("az://{c}/{sample,[^/]+}.txt", ("{c}", "{sample,[^/]+}.txt")),
        ("az://abc/{dir,a/b|c}/x", ("abc", "{dir,a/b|c}/x")),
    ],
)
def test_queries(query, parsed):
    assert query_fault(query) is None
    assert split_query(query) == parsed


@pytest.mark.parametrize(
    ("query", "reason"),
    [
        ("s3://abc/x", "must start with az://"),
        ("abc/x", "must start with az://"),
        ("az://abc", "no path in it"),
        ("az://abc/", "no path in it"),
        ("az:///x", "3 to 63"),
        ("az://Abc/x", "lower-case"),
        ("az://abc/x//y", "empty path segment"),
        ("az://abc/x?sv=2023&sig=abc%3D", "SAS"),
        ("az://abc/x?sig=abc%3D&sv=2023", "SAS"),
    ],
)
def test_queries_that_name_no_blob(query, reason):
    fault = query_fault(query) or ""
    assert reason in fault and "abc%3D" not in fault
