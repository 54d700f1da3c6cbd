"""An image is compared with this Snakemake by its labels, before anything is made."""

import pytest

from snakemake.azure.image.labels import TITLE, VERSION, fault

OURS = {TITLE: "snakemake-azbatch", VERSION: "9.27.1+azbatch.1"}


@pytest.mark.parametrize(
    "labels, said",
    [
        (OURS, None),
        ({**OURS, TITLE: "of the user's own image on top"}, None),
        ({TITLE: "snakemake-azbatch"}, None),
        ({}, "has no Snakemake with Azure Batch in it"),
        ({"maintainer": "upstream"}, "FROM such an image"),
        (
            {**OURS, VERSION: "9.28.0+azbatch.1"},
            "has Snakemake 9.28.0+azbatch.1, and this is 9.27.1+azbatch.1",
        ),
    ],
)
def test_what_the_labels_say(labels, said):
    found = fault("example.org/x:1", labels, "9.27.1+azbatch.1")
    assert found is None if said is None else said in found and "--container-image example.org/x:1" in found
