"""Names of container images."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from snakemake.azure.image.reference import ImageReference, InvalidImageReference, parse_image_reference

DIGEST = "sha256:" + "0123456789abcdef" * 4


@pytest.mark.parametrize(
    ("text", "registry", "repository", "tag", "digest"),
    [
        ("alpine", "docker.io", "library/alpine", None, None),
        ("alpine:3.20", "docker.io", "library/alpine", "3.20", None),
        ("snakemake/snakemake:v9.27.1", "docker.io", "snakemake/snakemake", "v9.27.1", None),
        ("docker.io/alpine", "docker.io", "library/alpine", None, None),
        ("index.docker.io/a/b", "docker.io", "a/b", None, None),
        ("myregistry.azurecr.io/smk:1", "myregistry.azurecr.io", "smk", "1", None),
        ("ghcr.io/a/b/c__d/e-f.g@" + DIGEST, "ghcr.io", "a/b/c__d/e-f.g", None, DIGEST),
        ("quay.io/a/b:t@" + DIGEST, "quay.io", "a/b", "t", DIGEST),
        ("localhost/a", "localhost", "a", None, None),
        ("localhost:5000/a/b:c", "localhost:5000", "a/b", "c", None),
        ("127.0.0.1:5000/a", "127.0.0.1:5000", "a", None, None),
        ("[2001:db8::1]:5000/a", "[2001:db8::1]:5000", "a", None, None),
        ("Host/a", "Host", "a", None, None),
    ],
)
def test_parts(text, registry, repository, tag, digest):
    assert parse_image_reference(text) == ImageReference(registry, repository, tag, digest)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "empty"),
        (":tag", "empty"),
        ("Alpine", "lower case"),
        ("a/B:1", "lower case"),
        ("a b", "may only have"),
        ("a:", "tag"),
        ("a:b:c", "tag"),
        ("a:-x", "tag"),
        ("a:" + "x" * 129, "tag"),
        ("a@sha256:123", "digest"),
        ("a@", "digest"),
        ("a@" + DIGEST[:-1], "digest"),
        ("a//b", "may only have"),
        ("/a", "may only have"),
        ("a/", "may only have"),
        ("-a", "may only have"),
        ("a..b", "may only have"),
        ("a___b", "may only have"),
        ("host:port/a", "registry"),
        ("-host.io/a", "registry"),
        ("docker://alpine", "without"),
        ("https://ghcr.io/a/b", "without"),
        ("a/" * 127 + "abc", "255"),
        ("alpine\n", "may only have"),
        ("аlpine", "may only have"),  # a Cyrillic first letter
    ],
)
def test_refused(text, why):
    with pytest.raises(InvalidImageReference, match="--container-image") as caught:
        parse_image_reference(text)
    assert why in str(caught.value)
    assert "\n" not in str(caught.value)


components = st.from_regex(r"[a-z0-9]{1,8}((\.|_|__|-{1,3})[a-z0-9]{1,5}){0,2}", fullmatch=True)
registries = st.from_regex(r"[a-z0-9]{1,8}(\.[a-z0-9]{1,8}){1,2}(:[0-9]{1,5})?", fullmatch=True)
tags = st.none() | st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}", fullmatch=True)
digests = st.none() | st.from_regex(r"sha256:[0-9a-f]{64}", fullmatch=True)


@given(registries, st.lists(components, min_size=1, max_size=4), tags, digests)
def test_round_trip(registry, parts, tag, digest):
    reference = ImageReference(registry, "/".join(parts), tag, digest)
    assert parse_image_reference(str(reference)) == reference
    assert reference.reference == (digest or tag or "latest")


@given(st.text(max_size=40))
def test_any_text_is_either_parsed_or_refused(text):
    try:
        reference = parse_image_reference(text)
    except InvalidImageReference:
        return
    assert parse_image_reference(str(reference)) == reference
