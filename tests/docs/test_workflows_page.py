"""The page on workflows has a row for each feature that is tested, and no other."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_the_table_has_each_feature_once():
    features = {
        path.stem: path.read_text(encoding="utf-8").splitlines()[0].removeprefix("# ")
        for path in (ROOT / "tests" / "workflows" / "features").glob("*.smk")
    }
    page = (ROOT / "docs" / "workflows.md").read_text(encoding="utf-8")
    rows = re.findall(
        r"^\| (.+) \| \[(\w+)\]\(\.\./tests/workflows/features/\w+\.smk\) \|$", page, re.MULTILINE
    )
    assert len(rows) == len(features) >= 80
    assert {name: title for title, name in rows} == features
