"""What a campaign takes for the right result is what a run on local files makes."""

import subprocess
import sys
from pathlib import Path

from misc.campaign.workflow import INPUT, Workflow

SNAKEMAKE = Path(sys.executable).with_name("snakemake")


def test_expected_files_are_those_of_a_local_run(tmp_path):
    ledger = tmp_path / "ledger"
    ledger.mkdir()
    workflow = Workflow.of_jobs(15, ledger, version="7", seconds=0)
    (tmp_path / "Snakefile").write_text(workflow.text())
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "data.txt").write_text(INPUT)

    subprocess.run([SNAKEMAKE, "--cores", "2", "--quiet", "all"], cwd=tmp_path, check=True)

    made = {name: (tmp_path / name).read_text() for name in workflow.expected()}
    assert made == workflow.expected()
    assert workflow.jobs == 16 and set(workflow.executions().values()) == {1}
    assert len(workflow.executions()) == workflow.jobs
