"""Whatever is wrong in a setting, wherever it is given: one sentence that names it, exit code 1, and no secret.

The command line runs in this process, up to where it would first ask a service; nobody listens there.
`make fuzz TIMES=100` tries 10,000 settings.
"""

import base64
import contextlib
import hashlib
import io
import json
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from unittest import mock

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from snakemake.cli import main
from snakemake.logging import logger
from support.examples import many

from snakemake.azure import secrets

KEY = base64.b64encode(hashlib.sha512(b"canary").digest()).decode()
CANARY = "Canary7Canary"
"""Occurs in each secret of SECRETS but the key, and nowhere else."""
SECRETS = [
    KEY,
    f"?sv=2023-11-03&se=2030-01-01&sp=rwdlc&sig={CANARY}%3D",
    f"https://acct.blob.core.windows.net/c?sp=r&sig={CANARY}",
    f"AccountName=acct;AccountKey={CANARY}==;EndpointSuffix=core.windows.net",
    f"AccountName=acct; AccountKey = {CANARY}== ;EndpointSuffix=core.windows.net",
    f"SharedAccessSignature=sv=1&sig={CANARY}",
    f"https://user:{CANARY}@registry.example.org/image",
]
GOOD = {
    "AZ_BATCH_ACCOUNT_URL": "http://127.0.0.1:9",
    "AZ_BATCH_ACCOUNT_NAME": "devbatch",
    "AZ_BATCH_ACCOUNT_KEY": base64.b64encode(b"batch").decode(),
    "AZ_BLOB_ACCOUNT_URL": "http://127.0.0.1:9/devstoreaccount1",
    "AZ_BLOB_ACCOUNT_KEY": base64.b64encode(b"blob").decode(),
}
OPTIONS = {
    "default-storage-prefix": "az://box/run",
    "container-image": "registry.example.org/image:1",
    "jobs": "1",
}


@dataclass
class Fault:
    """Options and variables in place of the good ones (None: not given), files, and one of the names to be told."""

    names: tuple[str, ...]
    options: dict[str, str | None] = field(default_factory=dict)
    variables: dict[str, str | None] = field(default_factory=dict)
    files: dict[str, str] = field(default_factory=dict)


# Text of one line, as it can be given in a shell; a secret in every third.
printable = st.text(
    st.characters(codec="utf-8", categories=("L", "N", "P", "S", "Zs")), min_size=1, max_size=30
)
words = st.one_of(
    printable, st.sampled_from(SECRETS), st.sampled_from(["", " ", "none", "true", "1.5", "-1", "0x1"])
)


def is_whole(text: str) -> bool:
    try:
        return bool(int(text)) or True
    except ValueError:
        return False


BOUNDS = {"nodes": 1, "slots-per-node": 1, "node-timeout": 1, "sas-hours": 1, "task-retries": -1}


@st.composite
def numbers(draw) -> tuple[str, str]:
    name = draw(st.sampled_from(sorted(BOUNDS)))
    low = st.integers(max_value=BOUNDS[name] - 1).map(str)
    high = {"slots-per-node": st.integers(257), "task-retries": st.integers(101)}.get(name)
    values = [words.filter(lambda text: not is_whole(text)), low]
    if high is not None:
        values.append(high.map(str))
    return f"az-batch-{name}", draw(st.one_of(*values))


def is_image(text: str) -> bool:
    return re.fullmatch(r"[a-z0-9._:/@-]*", text) is not None


texts = st.one_of(
    st.tuples(st.just("az-batch-vm-size"), words.filter(str.strip)),
    st.tuples(
        st.just("az-batch-account-url"),
        st.one_of(
            words.filter(lambda t: t.strip() and not t.startswith(("https://acct", "emulator"))),
            st.sampled_from(
                ["http://acct.westeurope.batch.azure.com", "emulator:99999", "emulator:x", "https://x"]
            ),
        ),
    ),
    st.tuples(
        st.just("az-batch-pool-id"), words.filter(lambda t: not re.fullmatch(r"[A-Za-z0-9_-]{1,64}", t))
    ),
    st.tuples(st.just("az-batch-os-image"), words.filter(lambda t: t.count(":") not in (2, 3))),
    st.tuples(st.just("az-batch-config"), st.sampled_from(["not-there.yaml", ".", "/dev/null/x", KEY])),
    st.tuples(st.just("container-image"), words.filter(lambda t: t.strip() and not is_image(t))),
    st.tuples(
        st.just("default-storage-prefix"),
        st.one_of(words.filter(str.strip), words.map(lambda t: f"az://{t}")).filter(
            lambda t: not re.match(r"az://[a-z0-9$-]{3,}", t)
        ),
    ),
)


@st.composite
def options(draw) -> Fault:
    """On the command line, written in one word or two, or in a profile."""
    name, value = draw(st.one_of(numbers(), texts))
    if draw(st.booleans()) or not value:  # an entry of a profile without a value is none
        return Fault((f"--{name}",), {name: value})
    profile = {"profile/config.yaml": yaml.safe_dump({name: value})}
    return Fault((f"--{name}",), {name: None, "profile": "profile"}, files=profile)


@st.composite
def variables(draw) -> Fault:
    not_base64 = words.filter(lambda t: t.strip() and t != KEY and not re.fullmatch(r"[A-Za-z0-9+/=\s]*", t))
    url = words.filter(lambda t: t.strip() and not t.startswith("https://acct"))
    clear = st.sampled_from(
        ["http://acct.blob.core.windows.net", "http://azurite:10000/acct", f"http://h/a?sig={CANARY}"]
    )
    name, value = draw(
        st.one_of(
            st.tuples(st.just("AZ_BATCH_ACCOUNT_KEY"), not_base64),
            st.tuples(st.just("AZ_BLOB_ACCOUNT_KEY"), not_base64),
            st.tuples(st.just("AZ_BLOB_ACCOUNT_URL"), st.one_of(url, clear)),
            st.tuples(
                st.just("AZ_BLOB_CONNECTION_STRING"),
                words.filter(lambda t: t.strip() and "AccountName" not in t),
            ),
            st.tuples(st.just("AZ_BLOB_CREDENTIAL"), not_base64.filter(lambda t: "sig=" not in t)),
            st.tuples(st.just("AZ_BLOB_CONTAINER_SAS"), not_base64),
            st.tuples(st.just("AZ_BATCH_ACCOUNT_NAME"), st.none()),
            st.tuples(st.just("AZ_BATCH_ACCOUNT_URL"), st.none()),
        )
    )
    others: dict[str, str | None] = {}
    if name == "AZ_BLOB_CONNECTION_STRING":
        others["AZ_BLOB_ACCOUNT_URL"] = None
    if name == "AZ_BLOB_CREDENTIAL":
        others["AZ_BLOB_ACCOUNT_KEY"] = None
    names = (name, "--az-batch-account-url") if name == "AZ_BATCH_ACCOUNT_URL" else (name,)
    return Fault(names, variables={**others, name: value})


@st.composite
def yaml_files(draw) -> Fault:
    text = draw(
        st.one_of(
            st.dictionaries(words, words, min_size=1, max_size=3).map(yaml.safe_dump),
            st.lists(words, min_size=1, max_size=3).map(yaml.safe_dump),
            words.map(lambda t: f"BATCH_ACCOUNT_KEY: [{t}"),
            words.map(lambda t: json.dumps({"BATCH_POOL_NODE_COUNT": t})),
            words.filter(lambda t: "'" not in t).map(lambda t: f"BATCH_ACCOUNT_URL: 'x\n{t}"),
        )
    )
    names = ("--az-batch-config", "BATCH_")
    return Fault(names, {"az-batch-config": "given.yaml"}, files={"given.yaml": text})


contradictions = st.sampled_from(
    [
        Fault(("--executor",), {"executor": "local"}),
        Fault(("--default-remote-prefix",), {"default-remote-prefix": "box"}),
        Fault(("--az-batch-pool-id",), {"az-batch-pool-id": "p", "az-batch-nodes": "3"}),
        Fault(("--container-image",), {"container-image": None}),
        Fault(("--default-storage-prefix",), {"default-storage-prefix": None}),
    ]
)


@contextlib.contextmanager
def quiet_logger() -> Iterator[None]:
    """Snakemake's logger as a process begins with it: what it says goes to stderr."""
    handlers, logger.handlers[:] = list(logger.handlers), []
    propagates, logger.propagate = logger.propagate, False  # or pytest would take it
    try:
        yield
    finally:
        logger.handlers[:], logger.propagate = handlers, propagates


def run(fault: Fault, folder: Path) -> tuple[object, str]:
    for name, text in fault.files.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text)
    given_options = {name: value for name, value in {**OPTIONS, **fault.options}.items() if value is not None}
    argv = ["--az-batch", *(f"--{name}={value}" for name, value in given_options.items())]
    environ = {name: value for name, value in {**GOOD, **fault.variables}.items() if value is not None}
    output = io.StringIO()
    kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    with (
        mock.patch.dict(os.environ, {**kept, **environ}, clear=True),
        mock.patch.object(secrets, "_known", set()),
        contextlib.chdir(folder),
        contextlib.redirect_stdout(output),
        contextlib.redirect_stderr(output),
        quiet_logger(),
    ):
        try:
            main(argv)
            code: object = 0
        except SystemExit as end:
            code = end.code
    return code, output.getvalue()


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    made = tmp_path_factory.mktemp("settings")
    (made / "Snakefile").write_text('rule one:\n    output: "x"\n    shell: "touch {output}"\n')
    return made


@many(100)
@given(st.one_of(options(), variables(), yaml_files(), contradictions))
def test_one_sentence_with_the_settings_name(folder, fault):
    code, said = run(fault, folder)
    assert code == 1, said
    assert "Traceback" not in said and '  File "' not in said, said
    assert any(name in said for name in fault.names), said
    assert CANARY not in said and KEY not in said, said
    # Around it stand the error's kind, and what Snakemake says of a profile.
    lines = [
        line for line in said.strip().splitlines() if not re.fullmatch(r"\w+:|Using profile .*", line.strip())
    ]
    assert len(lines) == 1 and lines[0].endswith("."), said
    assert {p.name for p in folder.iterdir()} <= {"Snakefile", "given.yaml", "profile"}


def test_good_settings_get_as_far_as_the_service(folder):
    code, said = run(Fault(()), folder)
    assert code == 1 and "nothing accepts connections" in said
