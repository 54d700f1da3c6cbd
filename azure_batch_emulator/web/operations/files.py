"""Files on nodes, by node and by task."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import BinaryIO
from urllib.parse import quote

from ...core.layout import task_directory
from ...core.machine import Machine
from ...core.views import lists
from ...nodes import files
from ...protocol.errors import BatchError, invalid_query
from ...protocol.wire import format_time, http_date
from ..call import Call, Reply

CHUNK = 1 << 18


def _node_root(call: Call) -> tuple[Path, str]:
    """The directory that the request's files are in, and its URL."""

    def read(m: Machine) -> tuple[str, bool, str]:
        pool, node = m.pool(call.path["poolId"]), m.node(call.path["poolId"], call.path["nodeId"])
        return node.id, node.alive, f"{call.base}/pools/{pool.id}/nodes/{node.id}/files"

    node_id, alive, url = call.engine.read(read)
    root = call.engine.nodes.root(node_id)
    if not alive or root is None:
        raise BatchError("NodeStateUnusable")
    return root, url


_NEVER_RAN = "task moved to completed state without running"


def _task_root(call: Call) -> tuple[Path, str]:
    def read(m: Machine) -> tuple[str, str, str]:
        job, task = m.job(call.path["jobId"]), m.task(call.path["jobId"], call.path["taskId"])
        if task.files == "cleaned":
            raise BatchError("TaskFilesCleanedup")
        if task.state == "active" or task.execution.start is None:
            how = "task state is still active" if task.state == "active" else _NEVER_RAN
            reason = f"The files of the specified task cannot be accessed as the {how}"
            raise BatchError("OperationInvalidForCurrentState", [("Reason", reason)])
        node = m.find_node(*task.node) if task.node else None
        if node is None or not node.alive or not node.holds(task):
            raise BatchError("TaskFilesUnavailable")
        return node.id, task_directory(job.id, task.id), f"{call.base}/jobs/{job.id}/tasks/{task.id}/files"

    node_id, directory, url = call.engine.read(read)
    root = call.engine.nodes.root(node_id)
    if root is None or not (root / directory).is_dir():
        raise BatchError("TaskFilesUnavailable")
    return root / directory, url


def _listing(find_root):
    async def handler(call: Call) -> Reply:
        root, url = find_root(call)
        recursive = _flag(call, "recursive")
        entries = await asyncio.to_thread(lambda: list(files.walk(root, recursive)))
        # Breadth first: the depth leads the key by which pages continue.
        rows = [(f"{entry.name.count('/'):04}/{entry.name}", entry) for entry in entries]
        return call.listing(
            sorted(rows, key=lambda row: row[0]), lists.FILES, lambda e: _show(e, url), "files"
        )

    return handler


def _flag(call: Call, name: str) -> bool:
    value = call.query.get(name, "false").lower()
    if value not in ("true", "false"):
        raise invalid_query(name, value, "true or false is expected.")
    return value == "true"


def _show(entry: files.Entry, url: str) -> dict:
    shown = {
        "name": entry.name,
        "url": f"{url}/{quote(entry.name, safe='')}",
        "isDirectory": entry.is_directory,
    }
    if not entry.is_directory:
        shown["properties"] = {
            "creationTime": format_time(entry.created),
            "lastModified": format_time(entry.modified),
            "contentLength": str(entry.size),
            "contentType": entry.content_type,
            "fileMode": f"{entry.mode:04o}",
        }
    return shown


def _headers(entry: files.Entry, url: str, length: int) -> dict[str, str]:
    return {
        "Content-Type": entry.content_type,
        "Content-Length": str(length),
        "Last-Modified": http_date(entry.modified),
        "ocp-creation-time": http_date(entry.created),
        "ocp-batch-file-isdirectory": str(entry.is_directory),
        "ocp-batch-file-url": f"{url}/{quote(entry.name, safe='')}",
        "ocp-batch-file-mode": f"{entry.mode:04o}",
    }


def _properties(find_root):
    async def handler(call: Call) -> Reply:
        root, url = find_root(call)
        entry = files.find(root, call.path["filePath"])
        call.conditions.check("HEAD", None, entry.modified)
        return Reply(None, _headers(entry, url, entry.size))

    return handler


def _content(find_root):
    async def handler(call: Call) -> Reply:
        root, url = find_root(call)
        entry = files.find(root, call.path["filePath"])
        if entry.is_directory:
            raise BatchError("FileNotFound", [("Reason", "It is a directory.")])
        call.conditions.check("GET", None, entry.modified)
        # The service's description knows only 200 as the answer, also to a range.
        start, length = files.parse_range(
            call.headers.get("ocp-range") or call.headers.get("range"), entry.size
        )
        file = await asyncio.to_thread(files.open_for_reading, entry)
        return Reply(None, _headers(entry, url, length), _read(file, start, length))

    return handler


async def _read(file: BinaryIO, start: int, length: int) -> AsyncIterator[bytes]:
    with file:
        file.seek(start)
        while length > 0:
            chunk = await asyncio.to_thread(file.read, min(CHUNK, length))
            if not chunk:
                # The file has shrunk since it was measured; what was promised is filled up.
                chunk = bytes(min(CHUNK, length))
            length -= len(chunk)
            yield chunk


def _deletion(find_root):
    async def handler(call: Call) -> Reply:
        root, _ = find_root(call)
        await asyncio.to_thread(
            files.delete, files.find(root, call.path["filePath"]), _flag(call, "recursive")
        )
        return Reply()

    return handler


list_node_files, list_task_files = _listing(_node_root), _listing(_task_root)
download_node_file, download_task_file = _content(_node_root), _content(_task_root)
get_node_file_properties, get_task_file_properties = _properties(_node_root), _properties(_task_root)
delete_node_file, delete_task_file = _deletion(_node_root), _deletion(_task_root)
