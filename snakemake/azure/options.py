"""How options of the executor are written down: help, default and checks of numbers, in one manner for all of them."""

from dataclasses import field
from typing import Any

from snakemake_interface_common.exceptions import WorkflowError


class SettingsError(WorkflowError):
    """An option is missing or wrong; nothing has been created."""


def option(help: str, default: Any = None, **metadata: Any) -> Any:
    """A field that is the option `--az-batch-<field>`, and the variable `SNAKEMAKE_AZ_BATCH_<FIELD>`."""
    return field(default=default, metadata={"help": help, "env_var": True, **metadata})


def list_option(help: str, **metadata: Any) -> Any:
    """A field of type `list | None` whose option takes one value or several."""
    # Snakemake's conversion of a single value would write a list as one text.
    return option(help, nargs="+", parse_func=_listed, unparse_func=str, type=str, **metadata)


def _listed(value: Any) -> list[str]:
    return [value] if isinstance(value, str) else [str(item) for item in value]


def check_bounds(value: float | None, least: int, most: int | None, name: str, why: str) -> None:
    """Raises SettingsError for a number of `--az-batch-<name>` that is below `least` or above `most`."""
    if value is None:
        return
    if value < least or (most is not None and value > most):
        bounds = f"at least {least}" if most is None else f"{least} to {most}"
        raise SettingsError(f"--az-batch-{name} {value} is out of bounds: {why} {bounds}.")
