"""Sources that lie elsewhere are fetched once for a run, by the client; tasks have neither the network nor a login."""

import subprocess
import threading
from collections import Counter
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import pytest

WRAPPER = "from snakemake.shell import shell\nshell('echo {snakemake.params.word} > {snakemake.output[0]}')\n"
SNAKEFILE = """
module far:
    snakefile: FAR
    config: {}

use rule * from far

rule all:
    default_target: True
    input: "a.txt", "b.txt", "module.txt", "script.txt", "data.txt"

rule write:
    output: "{name}.txt"
    wildcard_constraints: name="[ab]"
    params: word=lambda wildcards: wildcards.name
    wrapper: "v1/write"
"""
MODULE = """
include: "more.smk"
rule module:
    output: "module.txt"
    shell: "echo of the module > {output}"
rule script:
    output: "script.txt"
    script: "scripts/write.py"
rule data:
    output: "data.txt"
    params: data=workflow.source_path("words.txt")
    shell: "cat {params.data} > {output}"
"""
FILES = {
    "workflow/Snakefile": MODULE,
    "workflow/more.smk": "WORD = 1\n",
    "workflow/words.txt": "words\n",
    "workflow/scripts/write.py": "open(snakemake.output[0], 'w').write('of the script')\n",
    "v1/write/wrapper.py": WRAPPER,
    "v1/write/environment.yaml": "channels: []\ndependencies: []\n",
}
MADE = {
    "a.txt": "a",
    "b.txt": "b",
    "module.txt": "of the module",
    "script.txt": "of the script",
    "data.txt": "words",
}


@pytest.fixture
def elsewhere(tmp_path):
    folder = tmp_path / "elsewhere"
    for name, text in FILES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


@pytest.fixture
def website(elsewhere):
    """The folder as a website: its URL, and how often each path was asked for."""
    asked = Counter()

    class Handler(SimpleHTTPRequestHandler):
        def do_GET(self):
            asked[self.path] += 1
            super().do_GET()

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(elsewhere)))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}", asked
    server.shutdown()
    thread.join()
    server.server_close()


def git(folder, *args):
    who = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
    subprocess.run(["git", "-C", str(folder), *who, *args], check=True, capture_output=True)


def run(site, far, *args):
    site.write({"Snakefile": SNAKEFILE.replace("FAR", far)})
    site.environ["XDG_CACHE_HOME"] = str(site.workdir.parent / "cache")
    result = site.run(*args)
    assert result.code == 0, result.last_error()
    assert {name: site.read(name).strip() for name in MADE} == MADE  # GitPython drops newlines at the end
    return result


def test_from_urls(site, website):
    url, asked = website
    run(site, f'"{url}/workflow/Snakefile"', "--wrapper-prefix", f"{url}/")
    assert set(asked.values()) == {1}, asked


def test_from_a_folder_elsewhere(site, elsewhere):
    far = f'gitfile("{elsewhere}", path="workflow/Snakefile", ref="main")'
    git(elsewhere, "init", "-q", "-b", "main")
    git(elsewhere, "add", ".")
    git(elsewhere, "commit", "-qm", "all")
    result = run(site, far, "--wrapper-prefix", f"file://{elsewhere}/")
    assert "which tasks do not have" not in result.output


def test_from_github(site, elsewhere, tmp_path):
    """The tasks do not know where this machine has its github.com."""
    repository = tmp_path / "github.com/owner/name"
    repository.parent.mkdir(parents=True)
    git(elsewhere, "init", "-q", "-b", "main")
    git(elsewhere, "add", ".")
    git(elsewhere, "commit", "-qm", "all")
    git(tmp_path, "clone", "-q", "--bare", str(elsewhere), str(repository))
    settings = tmp_path / "gitconfig"
    settings.write_text(f'[url "file://{tmp_path}/github.com/"]\n    insteadOf = https://github.com/\n')
    site.environ["GIT_CONFIG_GLOBAL"] = str(settings)
    run(
        site,
        'github("owner/name", path="workflow/Snakefile", branch="main")',
        "--wrapper-prefix",
        f"file://{elsewhere}/",
    )


def test_what_is_not_there_is_said_before_anything_is_made(site, website):
    url, _ = website
    site.write(
        {"Snakefile": SNAKEFILE.replace("FAR", f'"{url}/workflow/Snakefile"').replace("v1/write", "v2/write")}
    )
    for option in ("-n", "--verbose"):
        result = site.run(option, "--wrapper-prefix", f"{url}/")
        assert result.code == 1 and "Wrapper v2/write not accessible" in result.output
        assert "created the pool" not in result.output
