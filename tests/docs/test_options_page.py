"""docs/options.md is what the settings say."""

import runpy
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_page_is_current():
    module = runpy.run_path(str(ROOT / "misc" / "docs" / "options.py"))
    assert module["PAGE"].read_text(encoding="utf-8") == module["page"](), "run python misc/docs/options.py"


def test_links_between_pages_lead_somewhere():
    import re

    pages = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md"), *(ROOT / "misc").rglob("*.md")]
    pages += (ROOT / "examples").rglob("*.md")
    broken = [
        f"{page.relative_to(ROOT)} -> {link}"
        for page in pages
        for link in re.findall(r"\]\(([^)#\s]+)", page.read_text(encoding="utf-8"))
        if "://" not in link and not (page.parent / link).exists()
    ]
    assert not broken


def test_page_for_those_from_elsewhere_is_current():
    module = runpy.run_path(str(ROOT / "misc" / "docs" / "migrating.py"))
    assert module["PAGE"].read_text(encoding="utf-8") == module["page"](), "run python misc/docs/migrating.py"
