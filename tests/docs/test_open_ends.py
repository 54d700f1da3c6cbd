"""What the first fork left open: each row of docs/migrating.md names a test that is there."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
NAMED = sorted(
    set(re.findall(r"`(tests/[^`]+)`", (ROOT / "docs" / "migrating.md").read_text(encoding="utf-8")))
)


@pytest.mark.parametrize("named", NAMED)
def test_the_tests_are_there(named):
    file, _, test = named.partition("::")
    text = (ROOT / file).read_text(encoding="utf-8")
    assert not test or re.search(rf"^def {test}\(", text, re.MULTILINE)


def test_no_place_is_marked():
    found = [
        path
        for folder in ("snakemake", "azure_batch_emulator")
        for path in (ROOT / folder).rglob("*.py")
        if re.search("FIXME|TODO|XXX", path.read_text(encoding="utf-8"))
    ]
    assert found == [] and len(NAMED) > 8
