"""Checks that bodies of all kinds share, and what of a body is secret."""

import re
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

from ...protocol.errors import BatchError, invalid_property
from ...protocol.wire import is_id, parse_duration
from .catalogue import Catalogue

_SECRETS = frozenset({"password", "accountKey", "sasKey", "sshPrivateKey", "protectedSettings"})


def strip_secrets(value: Any) -> Any:
    """Without what the service takes but never shows."""
    if isinstance(value, dict):
        return {key: strip_secrets(item) for key, item in value.items() if key not in _SECRETS}
    if isinstance(value, list):
        return [strip_secrets(item) for item in value]
    return value


def check_id(name: str, value: str) -> None:
    if not is_id(value):
        raise invalid_property(name, value, "An id has 1 to 64 letters, digits, hyphens and underscores.")


def check_display_name(spec: dict) -> None:
    if len(spec.get("displayName", "")) > 1024:
        raise invalid_property("displayName", spec["displayName"][:20] + "...", "At most 1024 characters.")


def check_range(name: str, value: int, least: int, most: int) -> None:
    if not least <= value <= most:
        raise invalid_property(name, value, f"The value must be from {least} to {most}.")


def check_positive(name: str, duration: str) -> None:
    if parse_duration(duration) <= timedelta():
        raise invalid_property(name, duration, "The duration must be positive.")


def check_retention(name: str, duration: str) -> None:
    if parse_duration(duration) < timedelta():
        raise invalid_property(name, duration, "The duration must not be negative.")


def check_url(name: str, url: str) -> None:
    """An http or https URL; the answer does not repeat it, because it may carry a signature."""
    try:
        good = urlsplit(url).scheme in ("http", "https") and bool(urlsplit(url).hostname)
    except ValueError:
        good = False
    if not good:
        raise invalid_property(name, url.partition("?")[0], "An http or https URL is needed.")


def is_container(name: str) -> bool:
    return bool(re.fullmatch(r"(?=.{3,63}$)[a-z0-9]+(-[a-z0-9]+)*", name))


def check_storage(body: Any, catalogue: Catalogue) -> None:
    """Whatever names a container of the linked storage account needs there to be one."""
    if isinstance(body, dict):
        if "autoStorageContainerName" in body and not catalogue.auto_storage:
            raise BatchError(
                "StorageAccountNotFound", [("AutoStorageContainerName", body["autoStorageContainerName"])]
            )
        body = list(body.values())
    if isinstance(body, list):
        for item in body:
            check_storage(item, catalogue)


def not_yet(what: str, value: object = "") -> BatchError:
    return BatchError(
        "NotImplementedByEmulator", [("Feature", what)] + ([("Value", str(value))] if value else [])
    )


def refuse(spec: dict, *names: str) -> None:
    """Properties that the emulator would have to ignore are refused instead."""
    for name in names:
        if spec.get(name):
            raise not_yet(name)
