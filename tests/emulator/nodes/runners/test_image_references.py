import pytest

from azure_batch_emulator.nodes.runners.image_references import ImageReference, parse_reference

DIGEST = "sha256:" + "0a" * 32


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("ubuntu", ImageReference("docker.io", "library/ubuntu", "latest", "")),
        ("team/tool:1.0", ImageReference("docker.io", "team/tool", "1.0", "")),
        ("me.azurecr.io/a/b/c:x", ImageReference("me.azurecr.io", "a/b/c", "x", "")),
        ("localhost:5000/tool", ImageReference("localhost:5000", "tool", "latest", "")),
        ("localhost/tool", ImageReference("localhost", "tool", "latest", "")),
        (f"quay.io/a/b@{DIGEST}", ImageReference("quay.io", "a/b", "", DIGEST)),
        (f"a/b:1@{DIGEST}", ImageReference("docker.io", "a/b", "1", DIGEST)),
        ("127.0.0.1:5000/a_b/c__d-e:v_1.2", ImageReference("127.0.0.1:5000", "a_b/c__d-e", "v_1.2", "")),
    ],
)
def test_parts(name, expected):
    assert parse_reference(name) == expected


@pytest.mark.parametrize(
    "name",
    [
        "",
        "Ubuntu",
        "a b",
        "a//b",
        "a:",
        "a:b c",
        "a@sha256:12",
        "/a",
        "a/",
        "-a",
        "https://x/y",
        "a:" + "t" * 129,
    ],
)
def test_no_names(name):
    assert parse_reference(name) is None
