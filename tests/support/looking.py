"""`snakemake --az-batch-tail` in a process of its own."""

import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

SNAKEMAKE = Path(sys.executable).with_name("snakemake")


class Looking:
    """A tail that goes on while the test does something else."""

    def __init__(self, process: subprocess.Popen, out: Path, err: Path) -> None:
        self.process, self._out, self._err = process, out, err

    def out(self) -> str:
        return self._out.read_text()

    def err(self) -> str:
        return self._err.read_text()

    def both(self) -> str:
        return self.out() + self.err()


@contextmanager
def looking(site, job: str, *args: str, cwd: Path | None = None, account: bool = True):
    out, err = site.workdir.parent / "tail.out", site.workdir.parent / "tail.err"
    environ = dict(site.environ)
    if not account:
        environ = {name: value for name, value in environ.items() if name != "AZ_BATCH_ACCOUNT_URL"}
    with out.open("w") as out_file, err.open("w") as err_file:
        process = subprocess.Popen(
            [str(SNAKEMAKE), "--az-batch-tail", job, *args],
            cwd=cwd or site.workdir,
            env=environ,
            stdout=out_file,
            stderr=err_file,
        )
        try:
            yield Looking(process, out, err)
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
