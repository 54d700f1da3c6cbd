"""The arguments of the `snakemake` that runs a job on its node, taken from the text that Snakemake makes for a shell.

Snakemake writes values as Python writes strings, which is not how a shell reads them: a backslash comes out twice,
and a value with both kinds of quotes does not come out at all. Here no shell is in between, so they are read as
what they are.
"""

import ast
import json
import re
import shlex
from collections.abc import Iterable, Mapping
from functools import lru_cache

_LITERAL = r"""'(?:[^'\\]|\\.)*'(?!\S)|"(?:[^"\\]|\\.)*"(?!\S)"""
_TOKEN = re.compile(rf"""{_LITERAL}|(?:[^\s'"]|'[^']*'|"[^"]*")+""", re.DOTALL)


def split_arguments(text: str) -> list[str]:
    """The arguments in `text`: Python's string literals, else words as a shell splits them."""
    return [_value(match[0]) for match in _TOKEN.finditer(text)]


@lru_cache(
    maxsize=10_000
)  # most are the same for all jobs, and reading them is half of what a job's order takes
def _value(token: str) -> str:
    if re.fullmatch(_LITERAL, token, re.DOTALL):
        if "\\" not in token:
            return token[1:-1]
        try:
            return ast.literal_eval(token)
        except (ValueError, SyntaxError):
            pass  # a path that was quoted for a shell
    return "".join(shlex.split(token))


def without(argv: list[str], flag: str) -> list[str]:
    """`argv` without `flag` and the values up to the next option."""
    if flag not in argv:
        return argv
    at = argv.index(flag)
    end = next((i for i in range(at + 1, len(argv)) if argv[i].startswith("--")), len(argv))
    return argv[:at] + argv[end:]


def without_value(argv: list[str], flag: str, value: str) -> list[str]:
    """`argv` without one of the values of `flag`, and without the flag where it was the only one."""
    if flag not in argv:
        return argv
    at = argv.index(flag)
    end = next((i for i in range(at + 1, len(argv)) if argv[i].startswith("--")), len(argv))
    rest = [each for each in argv[at + 1 : end] if each != value]
    return argv[:at] + ([flag, *rest] if rest else []) + argv[end:]


def target_arguments(targets: Iterable[tuple[str, Mapping[str, str]]]) -> list[str]:
    """`--target-jobs` for pairs of rule and wildcards, as `read_targets` reads them.

    Snakemake's own way of writing them falls apart at a comma in a wildcard's value.
    """
    return ["--target-jobs", *(f"{rule}:{json.dumps(dict(wildcards))}" for rule, wildcards in targets)]


def read_targets(entries: Iterable[str] | None) -> list[tuple[str, dict[str, str]]]:
    """The pairs of rule and wildcards that `target_arguments` wrote."""
    pairs = (entry.partition(":") for entry in entries or ())
    return [(rule, json.loads(wildcards)) for rule, _, wildcards in pairs]
