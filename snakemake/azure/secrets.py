"""Keeps credentials out of what people and files get to read: messages, logs, the printed command line.

A credential is recognized by what it is known to be (`remember`), and else, since it may have been typed into the wrong
place, by what credentials of Azure look like: the signature of a SAS, the keys of a connection string, a password in a
URL, an account's key.
"""

import base64
import binascii
import re
from collections.abc import Iterable

HIDDEN = "***"

SHORTEST = 8
"""Characters below which a known credential is not looked for within other text: too much would look like it."""

_NAMED = re.compile(r"(?i)\b(sig|AccountKey|SharedAccessSignature|SharedAccessKey)(\s*=\s*)[^&;:,\s'\"]+")
_PASSWORD = re.compile(r"(?i)(://[^\s/@:'\"]*:)[^\s/@'\"]+@")
# Keys of accounts are 64 bytes in base64, those of other services 32. A slash before one may be a part of it, or not; a
# shorter one after a slash would rather be the end of a path.
_KEY = re.compile(
    r"[A-Za-z0-9+/]{86}==(?![A-Za-z0-9+/=])|(?<![A-Za-z0-9+/=])[A-Za-z0-9+/]{43}=(?=[\s'\",;:)\]]|$)"
)
# Most text has none of these, which is found in a tenth of the time: lines of a log go through here. A literal at the
# beginning of an expression is looked for first.
_NAMES = ("sig", "accountkey", "sharedaccess")
_MAY_BE_KEY = re.compile(r"=(?<=[A-Za-z0-9+/]{43}=)")

_known: set[str] = set()


def remember(credentials: Iterable[str | None]) -> None:
    """Credentials of this process, which `without_secrets` finds wherever they stand."""
    _known.update(text for text in credentials if text and len(text) >= SHORTEST)


def without_secrets(text: str) -> str:
    """The text with each credential in it blotted out."""
    for secret in _known:
        text = text.replace(secret, HIDDEN)
    if "://" in text:
        text = _PASSWORD.sub(rf"\1{HIDDEN}@", text)
    if "=" in text:
        lower = text.lower()
        if any(name in lower for name in _NAMES):
            text = _NAMED.sub(rf"\1\2{HIDDEN}", text)
        if _MAY_BE_KEY.search(text):
            text = _KEY.sub(_blotted, text)
    return text


def shown(value: object) -> str:
    """` is VALUE and`, or nothing for what is long enough to be a secret in the wrong place."""
    text = str(value)
    return f" is {text} and" if 0 < len(text) < SHORTEST and text.isprintable() else ""


def _blotted(match: re.Match[str]) -> str:
    text = match[0]
    try:
        size = len(base64.b64decode(text, validate=True))
    except binascii.Error:
        return text
    # A path of letters, too, may end with `=`; a key is never without all of these.
    varied = all(re.search(kind, text) for kind in ("[a-z]", "[A-Z]", "[0-9]"))
    return HIDDEN if size in (32, 64) and varied else text
