"""What the page does not show: keys, SAS, tokens, and values of variables whose names say that they are secret."""

import re
from collections.abc import Iterable, Mapping
from typing import Any

HIDDEN = "***"
SHORTEST = 6
"""Of a value that is looked for in texts; a shorter one would be found within other words."""

_NAME = re.compile(r"(?i)key|secret|token|passw|pwd|credential|sas|sig|auth|connection")
# Each with what a text has that it can be found in, in lower case: most have none of it.
_SHAPES = (
    ("sig=", re.compile(r"(?i)(\bsig=)[^&\s\"'<>]+")),
    ("accountkey=", re.compile(r"(?i)(\bAccountKey=)[^;\s\"'<>]+")),
    ("bearer", re.compile(r"(?i)(\bbearer\s+)[\w.~+/=-]{12,}")),
    ("eyj", re.compile(r"()\beyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]*")),
)


def secret_values(*settings: Iterable[Mapping[str, Any]]) -> set[str]:
    """Of environment settings (`{name, value}`) those values that may not be shown."""
    return {
        str(item.get("value") or "")
        for items in settings
        for item in items
        if _NAME.search(str(item.get("name") or "")) and len(str(item.get("value") or "")) >= SHORTEST
    }


def without(text: str, secrets: Iterable[str]) -> str:
    """The text with `***` in place of the secrets, and of whatever looks like one."""
    for secret in sorted(secrets, key=len, reverse=True):
        text = text.replace(secret, HIDDEN)
    lower = text.lower()
    for sign, shape in _SHAPES:
        if sign in lower:
            text = shape.sub(rf"\1{HIDDEN}", text)
    return text
