"""docs/troubleshooting.md against the code: each message that it names is one, in these words, and each sentence that
the code ends a run or a job with has its row.
"""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

import snakemake

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "troubleshooting.md"
GAP = "\0"
# Not messages but what is seen, or what Azure, Batch or Python say, which is in no file here.
SEEN = {
    "403 from Batch with an Entra ID login",
    "AuthenticationFailed, 401 or 403 from Batch",
    "Connection refused by 127.0.0.1",
    "No module named snakemake.azure",
    "No such file or directory: .../wd/FILE",
    "Nodes become unusable after some tasks, DiskFull",
    "Pools named smk-... are still there",
    "TaskEnded, the task took too long",
}
# What stands for a value: CAPITALS, numbers, dots, what is in parentheses, and the variables of ours.
VALUE = re.compile(
    r"\([^()]*\)|, with `--[\w-]+`|\. (?=[A-Z])|\.\.\.|\b[A-Z][A-Z_]+\b|\b[MN]\b|\bhttps://|\d+|`[^`]*`|--[a-z][\w-]+|smk-|\?"
)


# Errors that nobody is told of as they are: what they say comes with another sentence, or is for who writes a plugin.
UNSEEN = {
    "GAP bytes of GAP arrived",
    "A task on Azure Batch keeps no records in a database; the main process does.",
    "Forms are not sent to storage accounts.",
    "Rule GAP: GAP Set its resource az_vm_size.",
    "The answer to a listing is no XML.",
    "The blob was empty a moment ago",
    "The run is shutting down; no more jobs are submitted to Azure Batch.",
    "The storage plugin's interface waits during a transfer, where it did not up to now.",
    "The work raised GAP.",
}
# Those that have their rows by what fills a gap of theirs.
FILLED = {
    "GAP GAP cannot be used because GAP.": "cannot be used because its support by Batch ended",
    "The task GAP stores nothing: GAP (az://GAP).": "The task GAP stores nothing: its run is over",
}
ERRORS = re.compile(
    r"Error$|^(DoesNotFit|InvalidImageReference|LockLost|MaxCostReached|NoOsImage|RunIsOver|RunLocked|_Changed)$"
)
ERRORS_OF_SIZES = {"SlotsOutOfBounds", "UnknownVmSize"}


def rows() -> list[str]:
    """The messages, several in a cell one by one."""
    found = re.findall(r"^\| (?!message |---)(.*?) \|", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    return [part for cell in found for part in ([cell] if cell in SEEN else re.split("; (?=[A-Z-])", cell))]


def texts(node: ast.AST) -> Iterator[str]:
    """The node's strings, each value in them as a gap."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value
    elif isinstance(node, ast.JoinedStr):
        yield "".join(str(v.value) if isinstance(v, ast.Constant) else GAP for v in node.values)
    elif isinstance(node, ast.ClassDef):
        yield node.name


@cache
def said() -> str:
    """All strings of the code, of upstream's files as the edits leave them, and of the emulator with Azure's codes."""
    from azure.storage import blob

    places = [
        *map(Path, snakemake.__path__),
        ROOT / "snakemake",
        ROOT / "azure_batch_emulator",
        Path(blob.__file__).parent / "_shared",
    ]
    files = [path for place in places for path in place.rglob("*.py")]
    return "\n".join(
        text
        for path in files
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        for text in texts(node)
    )


def sentence(node: ast.AST) -> str:
    """The text of an expression, with each value in it as a gap."""
    if isinstance(node, ast.BinOp):
        return sentence(node.left) + sentence(node.right)
    return next(texts(node), GAP)


def sentences() -> set[str]:
    """What errors are made with, in the modules of ours that users meet."""
    found = set()
    for path in [*(ROOT / "snakemake/azure").rglob("*.py"), *(ROOT / "snakemake/executors").glob("*.py")]:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and node.args:
                name = ast.unparse(node.func).rpartition(".")[2]
                if (ERRORS.search(name) and name != "ValueError") or name in ERRORS_OF_SIZES:
                    found.add(sentence(node.args[0]))
    return {text for text in found if re.search("[a-z]{3}", text)}


def named(text: str) -> str:
    return text.replace(GAP, "GAP")


def codes(message: str) -> list[str]:
    """Azure's, and names of exceptions."""
    return re.findall(r"\b[A-Z]\w*[a-z][A-Z]\w+\b", message)


def fragments(message: str) -> list[str]:
    """What the message has of fixed words, at least two of them together, or one alone if there is nothing else. Where
    there is a code, it alone is the message.
    """
    if codes(re.sub(r"\([^()]*\)", "", message)):
        return []
    parts = [part.strip(" ,:;.") for part in VALUE.sub(GAP, message).split(GAP)]
    return [part for part in parts if " " in part] or [part for part in parts if len(part) > 3]


def is_said(fragment: str, text: str | None = None) -> bool:
    """As a whole, or in pieces between which the code puts values of its own, such as `expires`."""
    words, text = fragment.split(" "), said() if text is None else text
    if fragment in text:
        return True
    return any(
        " ".join(words[:cut]) in text and " ".join(words[cut:]) in text and len(words) > 2
        for cut in range(1, len(words))
    )


def test_there_are_rows():
    assert len(rows()) > 60 and set(rows()) >= SEEN


@pytest.mark.parametrize("message", [row for row in rows() if row not in SEEN])
def test_the_code_says_so(message):
    parts = [*fragments(message), *codes(message)]
    assert parts and [part for part in parts if not is_said(part)] == []


@cache
def parts_of_rows() -> list[list[str]]:
    found = [[*fragments(row), *codes(row)] for row in rows() if row not in SEEN]
    return [parts for parts in found if parts]


def has_row(text: str) -> bool:
    return any(all(is_said(part, text) for part in parts) for parts in parts_of_rows())


def test_each_sentence_has_its_row():
    missing = {named(text) for text in sentences() if not has_row(text)}
    assert missing == UNSEEN | set(FILLED), "write a row, or say why nobody sees it"
    assert all(has_row(text) for text in FILLED.values())
    assert len(sentences()) > 100 and not has_row("A sentence that is in no row.")


def test_a_slip_would_be_found():
    assert fragments("The URL of the Batch acount is missing") == ["of the Batch acount is missing"]
    assert not is_said("of the Batch acount is missing")
    assert codes("PoolQuotaReached") == ["PoolQuotaReached"] and not is_said("PoolQuotaWasReached")


@pytest.mark.parametrize(
    "section", re.split(r"^## ", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]
)
def test_a_table_is_in_one_piece(section):
    """A line between its rows would end it."""
    assert len(re.findall(r"(?:^\|.*\n)+", section, re.MULTILINE)) == 1
