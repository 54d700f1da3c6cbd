"""Files that nodes fetch from Blob Storage and store there, by SAS. All on one node, with a container of the user's."""

from ..probe import Context, probe


def _denied(url: str) -> str:
    """The URL with a signature that is not right."""
    base, _, signature = url.partition("sig=")
    return f"{base}sig={'A' * 43}%3D{signature.partition('&')[1]}{signature.partition('&')[2]}"


@probe(
    "A resource file comes by its URL with a SAS, to its path below the working directory.",
    [0, "fetched"],
    "resource files",
    "documented",
    "node",
    storage=True,
)
def resource_file_by_sas(c: Context):
    url = c.store("in", b"fetched")
    files = [{"httpUrl": url, "filePath": "below/in.txt"}]
    task, info = c.run("fetch", "/bin/cat below/in.txt", resourceFiles=files)
    return [info.get("exitCode"), c.output(task)]


@probe(
    "All blobs of a container that begin with a prefix come by one entry, under their names.",
    [0, "one two"],
    "resource files",
    "documented",
    "node",
    storage=True,
)
def resource_files_of_a_container(c: Context):
    for name in ("many-one", "many-two"):
        c.store(name, name.partition("-")[2].encode())
    files = [{"storageContainerUrl": c.container, "blobPrefix": f"{c.prefix}-many-"}]
    ask = f"/bin/sh -c 'cat {c.prefix}-many-one; printf \" \"; cat {c.prefix}-many-two'"
    task, info = c.run("container", ask, resourceFiles=files)
    return [info.get("exitCode"), c.output(task)]


@probe(
    "A resource file whose SAS is refused fails the task before its command.",
    [None, "usererror", "BlobAccessDenied"],
    "resource files",
    "documented",
    "node",
    storage=True,
)
def refused_resource_file(c: Context):
    files = [{"httpUrl": _denied(c.store("denied", b"x")), "filePath": "in.txt"}]
    _, info = c.run("denied", "true", resourceFiles=files)
    failure = info["failureInfo"]
    return [info.get("exitCode"), str(failure["category"]).lower(), failure["code"]]


@probe(
    "A resource file that is not there fails the task before its command.",
    [None, "usererror", "BlobNotFound"],
    "resource files",
    "documented",
    "node",
    storage=True,
)
def missing_resource_file(c: Context):
    _, info = c.run("missing", "true", resourceFiles=[{"httpUrl": c.blob("nothing"), "filePath": "in.txt"}])
    failure = info["failureInfo"]
    return [info.get("exitCode"), str(failure["category"]).lower(), failure["code"]]


@probe(
    "Output files are stored before the task is completed, also of a task that failed.",
    [3, b"made".hex()],
    "output files",
    "documented",
    "node",
    storage=True,
)
def output_file(c: Context):
    place = {"container": {"path": f"{c.prefix}-out", "containerUrl": c.container}}
    c.blob("out")
    files = [
        {
            "filePattern": "out.txt",
            "destination": place,
            "uploadOptions": {"uploadCondition": "taskcompletion"},
        }
    ]
    _, info = c.run("store", "/bin/sh -c 'printf made > out.txt; exit 3'", outputFiles=files)
    assert c.container is not None
    base, _, sas = c.container.partition("?")
    return [info.get("exitCode"), c.wire.blob("GET", f"{base}/{c.prefix}-out?{sas}").body.hex()]
