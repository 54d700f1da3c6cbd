"""Resource files before a task, output files after it: plain HTTP(S), and Blob Storage by SAS.

https://learn.microsoft.com/azure/batch/resource-files, https://learn.microsoft.com/azure/batch/batch-task-output-files
"""

import http.client
import os
import re
import shutil
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from string import Template
from typing import Any

from ..core.entities import Failed
from ..protocol.wire import file_name
from .access import NodeAccess

TIMEOUT_SECONDS = 60
_MESSAGES = {
    "BlobNotFound": ("UserError", "One of the specified Azure Blob(s) is not found"),
    "BlobAccessDenied": ("UserError", "Access for one of the specified Azure Blob(s) is denied"),
    "BlobDownloadTimedOut": (
        "ServerError",
        "Timeout encountered while downloading one of the specified Azure Blob(s)",
    ),
    "BlobDownloadMiscError": (
        "ServerError",
        "Miscellaneous error encountered while downloading one of the specified Azure Blob(s)",
    ),
    "ResourceFileInvalidFilePath": (
        "UserError",
        "The file path of a resource file leaves the working directory",
    ),
    "ResourceFileWriteFailed": ("ServerError", "Failure encountered writing resource file"),
}
_UPLOAD_MESSAGES = {
    "FileUploadContainerNotFound": (
        "UserError",
        "One of the specified Azure container(s) was not found while attempting to upload an output file",
    ),
    "FileUploadAccessDenied": (
        "UserError",
        "Access for one of the specified Azure container(s) is denied while attempting to upload an output file",
    ),
    "FileUploadMiscError": (
        "ServerError",
        "Miscellaneous error encountered while uploading one of the output files",
    ),
}


def without_secret(url: str) -> str:
    """A URL as it may be shown: without the query, where a SAS would be."""
    return url.partition("?")[0]


def _failed(code: str, source: str, path: str, detail: str) -> Failed:
    category, message = _MESSAGES[code]
    details = (("FilePath", path), ("BlobSource", without_secret(source)), ("Message", detail))
    return Failed(category, code, message, details)


def fetch(
    resources: Iterable[dict], directory: Path, cancelled: Callable[[], bool], access: NodeAccess
) -> Failed | None:
    """Downloads resource files into a task's working directory; the first failure ends it."""
    for resource in resources:
        if cancelled():
            return None
        if failure := _fetch_one(resource, directory, access):
            return failure
    return None


def _fetch_one(resource: dict, directory: Path, access: NodeAccess) -> Failed | None:
    path = resource.get("filePath", "")
    source = resource.get("httpUrl") or resource["storageContainerUrl"]
    target = _below(directory, path)
    if target is None:
        return _failed(
            "ResourceFileInvalidFilePath", source, path, "The path may not leave the working directory."
        )
    mode = int(resource.get("fileMode", "0770"), 8)
    try:
        identity = resource.get("identityReference")
        if "httpUrl" in resource and identity is None:
            return _fetch_url(source, target, path, mode, access)
        return _fetch_blobs(resource, source, target, mode, access)
    except OSError as error:
        return _failed("ResourceFileWriteFailed", source, path, str(error))


def _below(directory: Path, path: str) -> Path | None:
    """The path within the directory, or None where it leads out of it or can't be one. An absolute path is taken as it
    is, as reported: https://github.com/Azure/azure-batch-cli-extensions/issues/120"""
    if Path(path).is_absolute() and "\0" not in path:
        return Path(path)
    try:
        target = (directory / path).resolve()
    except ValueError:  # a NUL in it
        return None
    return target if target.is_relative_to(directory.resolve()) else None


def _fetch_url(url: str, target: Path, path: str, mode: int, access: NodeAccess) -> Failed | None:
    try:
        with urllib.request.urlopen(url, timeout=TIMEOUT_SECONDS, context=access.trust) as response:
            target.parent.mkdir(parents=True, exist_ok=True)
            with target.open("wb") as file:
                shutil.copyfileobj(response, file, 1 << 20)
    except urllib.error.HTTPError as error:
        code = {404: "BlobNotFound", 401: "BlobAccessDenied", 403: "BlobAccessDenied"}.get(error.code)
        return _failed(code or "BlobDownloadMiscError", url, path, f"HTTP {error.code} {error.reason}")
    except TimeoutError:
        return _failed("BlobDownloadTimedOut", url, path, "The server did not answer in time.")
    except urllib.error.URLError as error:
        code = "BlobDownloadTimedOut" if isinstance(error.reason, TimeoutError) else "BlobDownloadMiscError"
        return _failed(code, url, path, str(error.reason))
    except (http.client.HTTPException, ValueError) as error:
        return _failed("BlobDownloadMiscError", url, path, str(error))
    target.chmod(mode)
    return None


def _fetch_blobs(resource: dict, url: str, target: Path, mode: int, access: NodeAccess) -> Failed | None:
    """The blob of an httpUrl, or those of a container, by Blob Storage's own protocol."""
    from azure.core.exceptions import AzureError, HttpResponseError

    identity, path = resource.get("identityReference"), resource.get("filePath", "")
    try:
        if "httpUrl" in resource:
            with access.blob(url, identity) as blob:
                _save(blob.download_blob(), target, mode)
            return None
        with access.container(url, identity) as container:
            for item in container.list_blobs(name_starts_with=resource.get("blobPrefix")):
                file = (target / item.name).resolve()
                if not file.is_relative_to(target):
                    return _failed(
                        "ResourceFileInvalidFilePath", url, item.name, "The blob's name leaves the directory."
                    )
                _save(container.download_blob(item.name), file, mode)
    except HttpResponseError as error:
        code = {404: "BlobNotFound", 401: "BlobAccessDenied", 403: "BlobAccessDenied"}.get(
            error.status_code or 0
        )
        return _failed(code or "BlobDownloadMiscError", url, path, f"HTTP {error.status_code} {error.reason}")
    except (AzureError, ValueError) as error:
        return _failed("BlobDownloadMiscError", url, path, type(error).__name__)
    return None


def _save(download: Any, file: Path, mode: int) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("wb") as stream:
        download.readinto(stream)
    file.chmod(mode)


def upload(
    outputs: Iterable[dict], task_dir: Path, environment: Mapping[str, str], access: NodeAccess
) -> Failed | None:
    """Uploads what matches; writes fileuploadout.txt and fileuploaderr.txt. The first failure ends it."""
    with (task_dir / "fileuploadout.txt").open("w") as out, (task_dir / "fileuploaderr.txt").open("w") as err:
        for output in outputs:
            pattern = Template(output["filePattern"]).safe_substitute(environment)
            container = output["destination"]["container"]
            for file, blob in match(task_dir, pattern, container.get("path")):
                if failure := _upload_one(file, blob, container, access):
                    err.write(
                        f"{file_name(file)}: {failure.code}: {dict(failure.details).get('Message', '')}\n"
                    )
                    return failure
                out.write(f"{file_name(file)} -> {without_secret(container['containerUrl'])}/{blob}\n")
    return None


def upload_files(files: Iterable[tuple[Path, str]], container: dict, access: NodeAccess) -> Failed | None:
    """Uploads files under the names given; the first failure ends it. `container` has a `containerUrl`, and perhaps an
    `identityReference`."""
    for file, blob in files:
        if failure := _upload_one(file, blob, container, access):
            return failure
    return None


def match(task_dir: Path, pattern: str, path: str | None) -> Iterator[tuple[Path, str]]:
    """The files that a pattern means, with the names of their blobs.

    Patterns are relative to the working directory and may begin with `../`. `*` and `?` stay within a directory,
    `**` does not; a name that starts with a dot has to have its dot spelled out. Without a wildcard, `path` is the
    blob's name; otherwise it is a prefix of the names below the part of the pattern that has no wildcard.
    """
    parts = pattern.replace("\\", "/").split("/")
    fixed = []
    while parts and not re.search(r"[*?\[]", parts[0]):
        fixed.append(parts.pop(0))
    base = Path((task_dir / "wd").joinpath(*fixed)) if not pattern.startswith("/") else Path("/", *fixed)
    base = base.resolve()
    if not parts:
        if base.is_file():
            yield base, path or file_name(base.name)
        return
    expression = _regex("/".join(parts))
    # (Not rglob, which breaks where a directory goes meanwhile; what several tasks share may.)
    found = [Path(folder, name) for folder, _, names in os.walk(base) for name in names]
    for file in sorted(found):
        name = file_name(file.relative_to(base).as_posix())
        if file.is_file() and expression.fullmatch(name):
            yield file, f"{path.rstrip('/')}/{name}" if path else name


def _regex(pattern: str) -> re.Pattern[str]:
    text, start, i = "", True, 0
    while i < len(pattern):
        rest = pattern[i:]
        # A wildcard at the start of a name does not stand for a dot.
        guard = r"(?!\.)" if start else ""
        if rest.startswith("**/"):
            text, i, start = text + r"(?:(?!\.)[^/]+/)*", i + 3, True
            continue
        if rest.startswith("**"):
            text, i = text + r"(?:(?!\.)[^/]+/)*(?!\.)[^/]*", i + 2
        elif rest[0] == "*":
            text, i = text + guard + "[^/]*", i + 1
        elif rest[0] == "?":
            text, i = text + guard + "[^/]", i + 1
        elif rest[0] == "[" and "]" in rest[2:]:
            end = rest.index("]", 2)
            inner = rest[1:end].replace("\\", r"\\")
            text += guard + "[" + ("^" + inner[1:] if inner[0] == "!" else inner.replace("^", r"\^")) + "]"
            i += end + 1
        else:
            text, i = text + re.escape(rest[0]), i + 1
        start = rest[0] == "/"
    return re.compile(text)


def _upload_one(file: Path, blob: str, container: dict, access: NodeAccess) -> Failed | None:
    from azure.core.exceptions import AzureError, HttpResponseError

    headers = {entry["name"]: entry.get("value", "") for entry in container.get("uploadHeaders", ())}
    try:
        with (
            access.container(container["containerUrl"], container.get("identityReference")) as client,
            file.open("rb") as stream,
        ):
            client.upload_blob(blob, stream, overwrite=True, headers=headers)
    except HttpResponseError as error:
        code = {
            404: "FileUploadContainerNotFound",
            401: "FileUploadAccessDenied",
            403: "FileUploadAccessDenied",
        }.get(error.status_code or 0, "FileUploadMiscError")
        return _upload_failed(code, container, file, f"HTTP {error.status_code} {error.reason}")
    except (AzureError, OSError, ValueError) as error:
        return _upload_failed("FileUploadMiscError", container, file, type(error).__name__)
    return None


def _upload_failed(code: str, container: dict, file: Path, detail: str) -> Failed:
    category, message = _UPLOAD_MESSAGES[code]
    details = (
        ("Message", detail),
        ("Container", without_secret(container["containerUrl"])),
        ("FilePath", file_name(file.name)),
    )
    return Failed(category, code, message, details)
