"""A conda that is installed on this machine, and a channel in a folder with a package that knows its own path."""

import hashlib
import io
import json
import os
import shutil
import tarfile
from pathlib import Path

import pytest

CONDA = shutil.which("conda", path=os.environ.get("AZBATCH_CONDA_BIN")) or shutil.which("conda")
needs_conda = pytest.mark.skipif(CONDA is None, reason="no conda on the PATH, nor in AZBATCH_CONDA_BIN")

PREFIX = "/opt/" + "placeholder_" * 20


def make_channel(folder: Path, versions: tuple[str, ...] = ("1.0", "2.0")) -> str:
    """A channel with the package `greet`, whose program prints its version and its environment's path; its URL.

    The format is that of https://docs.conda.io/projects/conda-build/en/stable/resources/package-spec.html.
    """
    packages = {}
    (folder / "noarch").mkdir(parents=True)
    (folder / "linux-64").mkdir()
    for version in versions:
        name = f"greet-{version}-0.tar.bz2"
        index = {
            "name": "greet",
            "version": version,
            "build": "0",
            "build_number": 0,
            "depends": [],
            "subdir": "noarch",
        }
        _write(folder / "noarch" / name, index, f"#!/bin/sh\necho {version} {PREFIX}\n".encode())
        data = (folder / "noarch" / name).read_bytes()
        packages[name] = index | {
            "md5": hashlib.md5(data).hexdigest(),
            "sha256": hashlib.sha256(data).hexdigest(),
            "size": len(data),
        }
    for subdir, content in (("noarch", packages), ("linux-64", {})):
        repodata = {
            "info": {"subdir": subdir},
            "packages": content,
            "packages.conda": {},
            "repodata_version": 1,
        }
        (folder / subdir / "repodata.json").write_text(json.dumps(repodata))
    return folder.as_uri()


def _write(path: Path, index: dict, program: bytes) -> None:
    entry = {"_path": "bin/greet", "path_type": "hardlink", "file_mode": "text", "prefix_placeholder": PREFIX}
    entry |= {"sha256": hashlib.sha256(program).hexdigest(), "size_in_bytes": len(program)}
    members = {
        "info/index.json": json.dumps(index).encode(),
        "info/paths.json": json.dumps({"paths_version": 1, "paths": [entry]}).encode(),
        "info/files": b"bin/greet\n",
        "info/has_prefix": f"{PREFIX} text bin/greet\n".encode(),
        "bin/greet": program,
    }
    with tarfile.open(path, "w:bz2") as tar:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size, info.mode = len(data), 0o755
            tar.addfile(info, io.BytesIO(data))
