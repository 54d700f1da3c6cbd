"""`make upgrade-check`, against releases that are on the package index."""

import hashlib
from pathlib import Path

from .conftest import PIN, ROOT, run

OTHER = "9.27.0"
OLDER = "9.5.1"  # kept its version in another file, and had other requirements


def digests(*paths: Path) -> dict[Path, str]:
    return {path: hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}


def test_another_release_is_looked_at_and_the_tree_stays_as_it_is(tree):
    files = [path for path in tree.rglob("*") if path.is_file()]
    before = digests(*files)
    run("git", "init", "-q", tree)
    run("git", "-C", tree, "add", ".")
    check = run(tree / "misc" / "upgrade", OTHER)
    assert f"All edits and files fit snakemake {OTHER}." in check.stdout
    assert f"Also named {PIN}" in check.stdout
    assert "README.md:" in check.stdout
    after = [
        path for path in tree.rglob("*") if path.is_file() and ".git" not in path.relative_to(tree).parts[:1]
    ]
    assert digests(*after) == before


def test_a_release_that_does_not_fit(tree):
    """All misfits at once: two anchors that are not there, a file of upstream's name, another lowest Python."""
    edits = tree / "misc" / "edits" / "azure-batch.toml"
    edits.write_text(edits.read_text().replace("    # handle legacy executor names\n", "no such line"))
    (tree / "snakemake" / "rules.py").write_text("")
    pyproject = tree / "pyproject.toml"
    pyproject.write_text(
        pyproject.read_text().replace('requires-python = ">=3.11"', 'requires-python = ">=3.99"')
    )
    check = run(tree / "misc" / "upgrade", OLDER, check=False)
    assert check.returncode == 1
    assert f"These do not fit snakemake {OLDER}:" in check.stdout
    assert "version: its anchor occurs 0 times in snakemake/__init__.py" in check.stdout
    assert "options-applied: its anchor occurs 0 times in snakemake/cli.py: 'no such line'" in check.stdout
    assert "snakemake/rules.py would replace a file of upstream's" in check.stdout
    assert "Python: upstream requires >=3.11, pyproject.toml >=3.99" in check.stdout
    assert "To move there" not in check.stdout
    assert f"Changed from {PIN} to {OLDER}" in check.stdout
    assert "  + appdirs" in check.stdout
    assert "  - platformdirs" in check.stdout


def test_a_release_that_is_not_there():
    check = run(ROOT / "misc" / "upgrade", "9.999.0", check=False)
    assert check.returncode == 2
    assert "There is no wheel of snakemake 9.999.0 to be had" in check.stdout
