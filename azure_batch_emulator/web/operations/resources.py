"""Handlers that all entities with an ETag have alike: get, exists, list, change, delete."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ...core.machine import Machine
from ...protocol import odata
from ..call import Call, Reply

Handler = Callable[[Call], Reply]


@dataclass(frozen=True)
class Resource:
    """One kind of entity: how to `find` it by the parameters of the path, how to `show` it, and its name in
    `odata.metadata`. `statistics` finds those of an entity, by its URL."""

    find: Callable[[Machine, Mapping[str, str]], Any]
    show: Callable[[Machine, Any, Call], dict]
    kind: str
    statistics: Callable[[Machine, Any, str], dict | None] | None = None

    def shown(self, m: Machine, entity: Any, call: Call) -> dict:
        """The entity, with its statistics if they are asked for and there are some."""
        shown = self.show(m, entity, call)
        if self.statistics and call.wants_stats and (found := self.statistics(m, entity, shown["url"])):
            return shown | {"stats": found}
        return shown

    def get(self, call: Call) -> Reply:
        return self._looking(
            call, lambda m, entity: call.item(self.shown(m, entity, call), self.kind, entity)
        )

    def exists(self, call: Call) -> Reply:
        return self._looking(call, lambda m, entity: call.stamped(entity))

    def _looking(self, call: Call, answer: Callable[[Machine, Any], Reply]) -> Reply:
        def look(m: Machine) -> Reply:
            entity = self.find(m, call.path)
            call.check(entity)
            return answer(m, entity)

        return call.engine.read(look)

    def listing(
        self,
        rows: Callable[[Machine, Call], Iterable[tuple[str, Any]]],
        fields: Mapping[str, odata.Field],
    ) -> Handler:
        """A list of what `rows` gives, with keys, in ascending order."""

        def handler(call: Call) -> Reply:
            return call.engine.read(
                lambda m: call.listing(rows(m, call), fields, lambda e: self.shown(m, e, call), self.kind)
            )

        return handler

    def change(self, act: Callable[[Machine, Any, Call], object]) -> Handler:
        """Holds the request's conditions against the entity, changes it, and answers with its new tag."""

        def handler(call: Call) -> Reply:
            def stimulus(m: Machine) -> Reply:
                entity = self.find(m, call.path)
                call.check(entity)
                act(m, entity, call)
                return call.stamped(entity)

            return call.engine.call(stimulus)

        return handler

    def deletion(self, delete: Callable[[Machine, Any], object]) -> Handler:
        """The same with an answer that has no tag."""

        def handler(call: Call) -> Reply:
            def stimulus(m: Machine) -> Reply:
                entity = self.find(m, call.path)
                call.check(entity)
                delete(m, entity)
                return Reply()

            return call.engine.call(stimulus)

        return handler
