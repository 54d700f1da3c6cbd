"""Which job is meant: a rule with its wildcards, a task's id, or an output file."""

import json
import re
from base64 import urlsafe_b64decode
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from snakemake_interface_common.exceptions import WorkflowError

from snakemake.azure.batch.ids import display_name
from snakemake.azure.batch.listed_tasks import ListedTask

_RULE = re.compile(r"([^\W\d]\w*)(?::(.*))?", re.DOTALL)
_NEXT = re.compile(r",(?=[^\W\d]\w*=)")
_WILDCARD = re.compile(r" (?=[^\W\d]\w*=)")

INCOMPLETE = Path(".snakemake") / "incomplete"
"""Where Snakemake notes the output that is being made, with the id of its job."""


@dataclass(frozen=True)
class Wanted:
    """What was asked for. rule, wildcards: as they stand in the names of tasks, empty where none was given; file: it
    can only be an output file."""

    text: str
    rule: str = ""
    wildcards: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def parse(cls, text: str) -> "Wanted":
        """Raises WorkflowError for what is nothing of it."""
        text = text.strip()
        if not text:
            raise WorkflowError(
                "--az-batch-tail is malformed: give a rule with its wildcards (rule:name=value,name=value), a task's "
                "id, or an output file."
            )
        found = _RULE.fullmatch(text)
        if found is None:
            return cls(text)
        wildcards: dict[str, str] = {}
        for part in _NEXT.split(found[2]) if found[2] else ():
            name, equals, value = part.partition("=")
            if not equals:
                raise WorkflowError(
                    f"--az-batch-tail {text} is malformed: after the rule come its wildcards, as in "
                    f"{found[1]}:name=value,name=value."
                )
            wildcards[name.strip()] = value
        # As people see them, see `display_name`.
        shown = {name: display_name(value) for name, value in wildcards.items()}
        return cls(text, found[1], shown)

    def is_id_of(self, task: ListedTask) -> bool:
        return task.id.lower() == self.text.lower()

    def fits(self, task: ListedTask) -> bool:
        """Whether the task is of the rule, with these wildcards and any others."""
        rule, _, rest = task.name.partition(" ")
        if not self.rule or rule != self.rule:
            return False
        shown = dict(part.partition("=")[::2] for part in _WILDCARD.split(f" {rest}") if "=" in part)
        shown = {name.strip(): value for name, value in shown.items()}
        return all(shown.get(name) == value for name, value in self.wildcards.items())


def task_of_output(folder: Path, file: str) -> str:
    """The id of the task that makes an output file, by Snakemake's records in the working directory `folder`; empty
    where they have none. The file may be given without the prefix that it has in storage."""
    home = folder / INCOMPLETE
    found = ""
    for path in home.rglob("*") if home.is_dir() else ():
        with suppress(OSError, ValueError):  # records come and go
            parts = path.relative_to(home).parts
            if not path.is_file():
                continue
            name = urlsafe_b64decode("".join(part.removeprefix("@") for part in parts)).decode()
            if name == file or name.endswith(f"/{file.removeprefix('./')}"):
                found = json.loads(path.read_text(encoding="utf-8")).get("external_jobid") or found
    return found
