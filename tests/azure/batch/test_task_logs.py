"""What is shown of a failed task's logs."""

from types import SimpleNamespace

import pytest

from snakemake.azure.batch import task_logs


def run(**files):
    return SimpleNamespace(id="run", log_file=lambda queue, task, name: files.get(name.partition(".")[0]))


@pytest.mark.parametrize(
    "content, title, first, last",
    [
        (b"one\ntwo\n", "The content", "  | one", "  | two"),
        (b"\n".join(b"%d" % i for i in range(100)), "The last 40 of 100 lines", "  | 60", "  | 99"),
        (b"broken \xff text", "The content", "  | broken", "text"),
    ],
)
def test_the_end_of_stderr(tmp_path, content, title, first, last):
    logs = task_logs.fetch(run(stderr=content, stdout=b"out"), None, "task", tmp_path)  # type: ignore[arg-type]
    assert logs["stderr.txt"].read_bytes() == content and logs["stdout.txt"].read_bytes() == b"out"
    assert logs["stderr.txt"].parent == tmp_path / "run" / "task"
    lines = task_logs.excerpt(logs).strip("\n").split("\n")
    assert lines[0].startswith(title) and lines[1].startswith(first) and lines[-1].endswith(last)


def test_they_are_for_their_owner(tmp_path):
    """Also where the folder was there before, open to others."""
    home = tmp_path / "logs"
    home.mkdir(mode=0o755)
    logs = task_logs.fetch(run(stderr=b"secret"), None, "task", home)  # type: ignore[arg-type]
    assert home.stat().st_mode & 0o777 == 0o700 and logs["stderr.txt"].stat().st_mode & 0o777 == 0o600


def test_nothing_is_written_where_there_is_nothing(tmp_path):
    logs = task_logs.fetch(run(stderr=None, stdout=b""), None, "task", tmp_path)  # type: ignore[arg-type]
    assert logs == {} and list(tmp_path.iterdir()) == []
    assert "no stderr" in task_logs.excerpt(logs)
