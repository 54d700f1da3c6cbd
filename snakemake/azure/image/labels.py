"""What an image says of itself: the labels that the Dockerfile writes, and what is wrong with an image that has others.

An image that is built on top of another one has the labels of both.
"""

from collections.abc import Mapping

from snakemake.azure.image.reference import OPTION

VERSION = "snakemake-azbatch.version"
"""The label with the version of the Snakemake in the image, such as 9.27.1+azbatch.1."""

TITLE, TITLE_OF_OURS = "org.opencontainers.image.title", "snakemake-azbatch"


def fault(image: str, labels: Mapping[str, str], version: str, named: str = OPTION) -> str | None:
    """One sentence on why tasks cannot run in the image, with what to do, or None. `version` is this Snakemake's, and
    `named` what names the image."""
    found = labels.get(VERSION)
    if found is None and labels.get(TITLE) != TITLE_OF_OURS:
        return (
            f"{named} {image} has no Snakemake with Azure Batch in it (it lacks the label {VERSION}): give an image "
            "that was built from this tree (docker build -t NAME .), or one whose Dockerfile begins with FROM such an "
            "image."
        )
    if found is not None and found != version:
        return (
            f"{named} {image} has Snakemake {found}, and this is {version}: build the image anew from this tree, or "
            "install the version that the image has."
        )
    return None
