"""The wheel that this tree builds: upstream's release, the named edits, our files, and nothing else."""

import importlib.util
import re
import shutil
import sys
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from .conftest import OURS, PIN, PIP_WHEEL, PYPROJECT, ROOT, VERSION, run


def loaded_setup(tree: Path):
    """setup.py of a tree, for its functions and its list of edits."""
    spec = importlib.util.spec_from_file_location("graft_setup", tree / "setup.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["graft_setup"] = module
    try:
        spec.loader.exec_module(module)
    finally:
        del sys.modules["graft_setup"]
    return module


def is_upstreams(name: str) -> bool:
    return name.startswith("snakemake/")


def test_name_and_version(wheel):
    assert wheel.path.name == f"snakemake-{VERSION}-py3-none-any.whl"
    metadata = wheel.metadata()
    assert (metadata["Name"], metadata["Version"]) == ("snakemake", VERSION)
    assert re.fullmatch(r"\d+\.\d+\.\d+\+azbatch\.\d+", VERSION)
    assert metadata["Requires-Python"] == PYPROJECT["project"]["requires-python"]


def test_requirements_are_upstreams_and_ours(wheel, upstream):
    def parsed(lines):
        return {str(Requirement(line)) for line in lines}

    own = PYPROJECT["tool"]["azbatch"]
    expected = parsed(upstream.metadata().get_all("Requires-Dist")) | parsed(own["requires"])
    for extra in ("emulator", "test", "lint"):
        expected |= parsed(f'{requirement}; extra == "{extra}"' for requirement in own[extra])
    assert parsed(wheel.metadata().get_all("Requires-Dist")) == expected
    extras = {*upstream.metadata().get_all("Provides-Extra"), "emulator", "test", "lint"}
    assert set(wheel.metadata().get_all("Provides-Extra")) == extras


def test_commands(wheel):
    points = {line.replace(" ", "") for line in wheel.info("entry_points.txt").decode().splitlines()}
    assert {"snakemake=snakemake.cli:main", "azure-batch-emulator=azure_batch_emulator.entry:main"} <= points


def test_both_licences(wheel, upstream, packed_tree):
    licences = {k.rsplit("/", 1)[-1]: v for k, v in wheel.files().items() if "/licenses/" in k}
    assert licences.keys() == {"LICENSE", "LICENSE.snakemake.md"}
    assert licences["LICENSE"] == (packed_tree / "LICENSE").read_bytes()
    assert licences["LICENSE.snakemake.md"] == upstream.info("licenses/LICENSE.md")


def test_upstreams_files_are_all_there_and_changed_only_by_the_edits(wheel, upstream, packed_tree):
    edits = [edit for edit in loaded_setup(packed_tree).EDITS if not edit.live_only]
    ours, theirs = wheel.files(), {k: v for k, v in upstream.files().items() if is_upstreams(k)}
    assert len(theirs) > 100
    assert not theirs.keys() - ours.keys()
    changed = {name for name, content in theirs.items() if ours[name] != content}
    assert changed == {edit.file for edit in edits}
    for name in changed:
        text = theirs[name].decode()
        for edit in edits:
            if edit.file == name:
                assert text.count(edit.anchor) == 1
                text = text.replace(edit.anchor, edit.result)
        assert ours[name].decode() == text


def test_our_files_are_all_there_and_nothing_else(wheel, upstream, packed_tree):
    tops = [packed_tree / top for top in ("snakemake", *OURS)]
    own = [p.relative_to(packed_tree) for top in tops for p in top.rglob("*") if p.is_file()]
    expected = {p.as_posix() for p in own} | {k for k in upstream.files() if is_upstreams(k)}
    packed = {k for k in wheel.files() if ".dist-info/" not in k}
    assert packed == expected
    for path in own:
        assert wheel.files()[path.as_posix()] == (packed_tree / path).read_bytes()
    for module in ("executors/azure_batch.py", "azure/node/__main__.py", "azure/settings.py"):
        assert f"snakemake/{module}" in packed


def test_the_emulator_is_the_same_in_its_own_wheel(wheel, emulator_wheel):
    """So it does not matter which of the two was installed last where somebody has both."""

    def emulator(files):
        return {name: data for name, data in files.items() if name.startswith("azure_batch_emulator/")}

    assert emulator(wheel.files()) == emulator(emulator_wheel.files()) != {}
    (command,) = re.findall(r"azure-batch-emulator.*", emulator_wheel.info("entry_points.txt").decode())
    assert command in wheel.info("entry_points.txt").decode()


def test_no_compiled_files_and_no_tests_of_ours(wheel, upstream):
    extra = wheel.files().keys() - upstream.files().keys()
    assert not [n for n in wheel.files() if "__pycache__" in n or n.endswith(".pyc")]
    assert not [
        n for n in extra if n.startswith(("tests/", "test_", "misc/", "examples/", "docs/", "build/"))
    ]


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory) -> Path:
    """An empty environment with the wheel in it, and all that it requires."""
    environment = tmp_path_factory.mktemp("installed") / "env"
    run(sys.executable, "-m", "venv", environment)
    run(environment / "bin" / "pip", "install", "-q", "--disable-pip-version-check", wheel.path)
    return environment / "bin"


def test_installed_in_an_empty_environment(installed, tmp_path):
    assert run(installed / "snakemake", "--version", cwd=tmp_path).stdout.strip() == VERSION
    assert f"Version: {VERSION}" in run(installed / "pip", "show", "snakemake").stdout
    options = re.findall(
        r"^\s+(--az-batch[a-z-]*)", run(installed / "snakemake", "--help", cwd=tmp_path).stdout, re.M
    )
    assert "--az-batch" in options
    assert "--az-batch-account-url" in options
    run(installed / "pip", "check")


def test_installed_it_runs_a_workflow_without_azure(installed, tmp_path):
    (tmp_path / "Snakefile").write_text(
        "rule hello:\n    output: 'hello.txt'\n    shell: 'echo hello > {output}'\n"
    )
    run(installed / "snakemake", "--cores", "1", cwd=tmp_path)
    assert (tmp_path / "hello.txt").read_text() == "hello\n"


def test_a_broken_anchor_stops_the_build(tree, build_python, tmp_path):
    edits = tree / "misc" / "edits" / "azure-batch.toml"
    anchor = "    # handle legacy executor names\n"
    assert anchor in edits.read_text()
    edits.write_text(edits.read_text().replace(anchor, "    # there is no such line\n"))
    command = [build_python, *PIP_WHEEL, "--no-build-isolation", "-w", tmp_path / "dist", "."]
    build = run(*command, check=False, cwd=tree)
    assert build.returncode != 0
    assert "options-applied: its anchor occurs 0 times in snakemake/cli.py" in build.stdout
    assert f"These edits do not fit snakemake {PIN}" in build.stdout
    assert not list((tmp_path / "dist").glob("*.whl"))


def test_a_tree_without_the_edits_is_not_built(tree):
    shutil.rmtree(tree / "misc")
    with pytest.raises(SystemExit, match="There are no edits at misc/edits"):
        loaded_setup(tree)


def test_each_edit_has_a_name_of_its_own_and_a_reason():
    edits = loaded_setup(ROOT).EDITS
    assert len({edit.name for edit in edits}) == len(edits) > 40
    assert not [edit.name for edit in edits if not edit.why.rstrip().endswith(".")]


def test_no_file_of_ours_replaces_one_of_upstreams(tree, tmp_path, upstream):
    (tree / "snakemake" / "rules.py").write_text("")
    setup = loaded_setup(tree)
    with zipfile.ZipFile(upstream.path) as archive:
        archive.extractall(tmp_path / "stage")
    message = f"^snakemake/rules.py would replace a file of snakemake {re.escape(PIN)}.$"
    with pytest.raises(setup.GraftError, match=message):
        setup.lay_tree(tmp_path / "stage", live=False)


def test_every_place_that_names_the_release_names_the_pinned_one():
    documents = [ROOT / n for n in ("README.md", "Dockerfile", "environment.yml", ".ci/run")]
    documents += [
        *(ROOT / "docs").rglob("*.md"),
        *(ROOT / "misc").rglob("*.md"),
        *(ROOT / "examples").rglob("*.md"),
    ]
    for path in documents:
        assert set(re.findall(r"(\d+\.\d+\.\d+)[+-]azbatch", path.read_text())) <= {PIN}, path
        assert set(re.findall(r"[Ss]nakemake(?:\]\(\S+\)|==| v?)\s?(9\.\d+\.\d+)", path.read_text())) <= {
            PIN
        }, path
    assert f" {PIN} " in (ROOT / "README.md").read_text()
    assert f"## {VERSION} " in (ROOT / "CHANGELOG.md").read_text()


def test_without_its_packages_the_emulator_says_what_to_install(installed, tmp_path):
    done = run(installed / "azure-batch-emulator", "start", check=False, cwd=tmp_path)
    assert done.returncode == 1
    assert "snakemake[emulator]" in done.stdout + (done.stderr or "")
    assert "Traceback" not in done.stdout + (done.stderr or "")
