"""What the documentation names has to exist: options, VM sizes, headings it links to."""

import re
from dataclasses import fields
from pathlib import Path

import pytest
from snakemake.cli import get_argument_parser

from snakemake.azure.batch.vm_sizes import vm_size
from snakemake.azure.settings import ExecutorSettings

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
OPTIONS = {f"--az-batch-{f.name.replace('_', '-')}" for f in fields(ExecutorSettings)}
COMMANDS = {
    "--az-batch-sweep",
    "--az-batch-check",
    "--az-batch-efficiency",
    "--az-batch-journal",
}  # of the parser's own


def name(page: Path) -> str:
    return str(page.relative_to(ROOT))


def anchors(page: Path) -> set[str]:
    """The headings of a page as GitHub turns them into anchors."""
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.M | re.S)
    headings = (re.sub(r"`|\[([^\]]*)\]\([^)]*\)", r"\1", h) for h in re.findall(r"^#+ (.*)$", text, re.M))
    return {re.sub(r"[^\w\- ]", "", h.strip().lower()).replace(" ", "-") for h in headings}


def test_there_are_pages():
    assert {"README.md", "docs/azure.md", "docs/getting-started.md"} <= {name(p) for p in PAGES}


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_options_exist(page):
    named = set(re.findall(r"--az-batch-[a-z-]*[a-z]", page.read_text(encoding="utf-8")))
    assert named <= {option for action in get_argument_parser()._actions for option in action.option_strings}


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_vm_sizes_exist(page):
    for size in re.findall(r"\bStandard_[A-Z]\w+", page.read_text(encoding="utf-8")):
        if not size.endswith("RS"):  # kinds of storage accounts are called so as well
            assert vm_size(size).memory_gib is not None, size


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_links_to_headings_lead_somewhere(page):
    for path, anchor in re.findall(r"\]\(([^)\s#:]*)#([^)\s]+)\)", page.read_text(encoding="utf-8")):
        assert anchor in anchors(page.parent / path if path else page), (
            f"{name(page)} links to {path}#{anchor}"
        )


def test_every_option_is_explained():
    page = "".join((ROOT / "docs" / f"{of}.md").read_text(encoding="utf-8") for of in ("azure", "pools"))
    page = page.replace("`", " ")
    assert {o for o in OPTIONS | COMMANDS if not re.search(rf"(?<!\S){o}(?![\w-])", page)} == set()


def test_the_picture_of_a_report_is_small():
    """misc/docs/picture.py makes it, of the demo's report."""
    picture = ROOT / "docs" / "report.png"
    assert picture.read_bytes().startswith(b"\x89PNG") and picture.stat().st_size < 300_000
