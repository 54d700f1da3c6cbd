"""Which public methods of the client a test covers, and that it does call them."""

import functools
from collections.abc import Callable


def covers(*methods: str) -> Callable:
    """For tests with the fixture `client`."""

    def mark(test: Callable) -> Callable:
        @functools.wraps(test)
        def run(client, **fixtures):
            test(client=client, **fixtures)
            missed = set(methods) - client.called
            assert not missed, f"said to be covered, but never called: {sorted(missed)}"

        run.covers = frozenset(methods)  # type: ignore[attr-defined]
        return run

    return mark


def public_methods(client: type) -> set[str]:
    return {name for name in dir(client) if not name.startswith("_") and callable(getattr(client, name))}
