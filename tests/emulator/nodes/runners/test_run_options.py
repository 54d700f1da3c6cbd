import pytest

from azure_batch_emulator.core.entities import Failed
from azure_batch_emulator.nodes.runners.run_options import RunOptions, parse_run_options


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", RunOptions()),
        ("--rm", RunOptions()),
        ("-v /a:/b:ro --volume=data:/c", RunOptions(volumes=("/a:/b:ro", "data:/c"))),
        ("-e A=b=c --env D", RunOptions(environment=(("A", "b=c"), ("D", None)))),
        ("-e 'A=two words'", RunOptions(environment=(("A", "two words"),))),
        ("--shm-size 2g --ipc=host", RunOptions(shm_size=2 << 30, ipc="host")),
        ("--shm-size 64mb", RunOptions(shm_size=64 << 20)),
        ("--shm-size=1024", RunOptions(shm_size=1024)),
        ("--ulimit nofile=10:20 --ulimit core=0", RunOptions(ulimits=(("nofile", 10, 20), ("core", 0, 0)))),
        ("--ulimit memlock=-1:-1", RunOptions(ulimits=(("memlock", -1, -1),))),
        ("--network none", RunOptions(network="none")),
        ("--workdir /x -u 1:2", RunOptions(workdir="/x", user="1:2")),
        ("--user nobody --entrypoint ''", RunOptions(user="nobody", entrypoint="")),
    ],
)
def test_carried_out(text, expected):
    assert parse_run_options(text) == expected


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("--privileged", "--privileged"),
        ("--rm --gpus all", "--gpus"),
        ("--env-file x", "--env-file"),
        ("--shm 1g", "--shm"),
        ("image", "image"),
        ("-v", "expected one argument"),
        ("-v relative:also", "relative:also"),
        ("-e =x", "=x"),
        ("--shm-size big", "big"),
        ("--ulimit nofile", "nofile"),
        ("-e 'open", "No closing quotation"),
    ],
)
def test_refused(text, word):
    failure = parse_run_options(text)
    assert isinstance(failure, Failed)
    assert (failure.category, failure.code) == ("UserError", "ContainerInvalidSettings")
    assert word in dict(failure.details)["Message"]


def test_environment_goes_over_the_tasks():
    options = parse_run_options("-e A=1 -e B -e C")
    assert isinstance(options, RunOptions)
    assert options.environment_over({"A": "0", "B": "2"}) == {"A": "1", "B": "2"}
