"""The `sudo` of nodes, for tasks that run as processes of this machine.

On a real node an administrator's task may become root without a password, and others may not become anybody. Here a
task never gets other rights than the emulator's user has: for an administrator `sudo` runs its command as it is. The
machine's own, if there is one, would ask for a password or really change the machine.
"""

import tempfile
from pathlib import Path

_REFUSING = """#!/bin/sh
echo 'sudo: a password is required' >&2
exit 1
"""
_RUNNING = """#!/bin/sh
while [ $# -gt 0 ]; do
    case "$1" in
        -u|-g|-p|-h|-C|-T|-D|-R) shift 2 ;;
        -l|-v|-k|-K|-V) [ $# -eq 1 ] && exit 0; shift ;;
        -i|-s) shift; [ $# -eq 0 ] && exec "${SHELL:-/bin/sh}"; exec /bin/sh -c "$*" ;;
        --) shift; break ;;
        -*) shift ;;
        [A-Za-z_]*=*) export "$1"; shift ;;
        *) break ;;
    esac
done
[ $# -gt 0 ] || { echo 'usage: sudo command' >&2; exit 1; }
exec "$@"
"""


class Sudo:
    """Two folders with a `sudo` each, for the PATH of tasks; made when one is needed first."""

    def __init__(self) -> None:
        self._folder: tempfile.TemporaryDirectory | None = None

    def folder(self, elevated: bool) -> str:
        if self._folder is None:
            self._folder = tempfile.TemporaryDirectory(prefix="abe-sudo-", ignore_cleanup_errors=True)
            for name, script in (("admin", _RUNNING), ("nonadmin", _REFUSING)):
                file = Path(self._folder.name, name, "sudo")
                file.parent.mkdir()
                file.write_text(script, encoding="ascii")
                file.chmod(0o755)
        return str(Path(self._folder.name, "admin" if elevated else "nonadmin"))

    def close(self) -> None:
        if self._folder is not None:
            self._folder.cleanup()
            self._folder = None
