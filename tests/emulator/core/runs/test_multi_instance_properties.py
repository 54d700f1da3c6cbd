"""The same properties, from a start in which multi-instance tasks are at work."""

from hypothesis import strategies as st
from hypothesis.stateful import initialize, precondition, rule
from support.examples import many

from ..test_machine_properties import Service, TestService


class MultiInstance(Service):
    @initialize(sizes=st.lists(st.integers(1, 3), min_size=1, max_size=3), retries=st.integers(-1, 1))
    def multi_instance_tasks(self, sizes, retries):
        self.create_pool("p1", 4, 1, "spread", start=False, linked=True)
        self.driver.advance(20)
        self.create_job("j1", "p1", prep=False, most=-1, ends=False, actions=False, manager=None)
        for name, instances in enumerate(sizes):
            self.create_multi_instance("j1", name + 1, instances, retries, upload=False)

    @precondition(lambda self: self.driver.started)
    @rule(code=st.sampled_from([0, 0, 0, 1]))
    def all_that_runs_ends(self, code):
        for run in list(self.driver.started):
            if run in self.driver.started:
                self.driver.end(run, code)


TestMultiInstance = MultiInstance.TestCase
TestMultiInstance.settings = many(20, parent=TestService.settings)
del TestService  # not once more
