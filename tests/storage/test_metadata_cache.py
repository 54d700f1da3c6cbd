"""What counts as known, step by step and without a service."""

from dataclasses import replace

import pytest

from snakemake.azure.blob.entries import Blob
from snakemake.azure.blob.metadata_cache import MetadataCache

OLD = Blob("d/x", 1, 10.0, etag="1")
NEW = replace(OLD, size=2, mtime=11.0, etag="2")


@pytest.fixture
def known():
    return MetadataCache()


def test_what_was_answered_counts_for_good(known):
    known.remember("c", known.ask(), [OLD])
    assert known.blob("c", "d/x") == OLD
    assert known.blob("other", "d/x") is None


@pytest.mark.parametrize("changed", ["d/x", "d"])
def test_what_was_asked_before_a_change_does_not(known, changed):
    """The answer may arrive before the change is over or after it; `d` stands for all of a directory."""
    asked = known.ask()
    known.remember("c", asked, [OLD])
    known.forget("c", [changed])
    assert known.blob("c", "d/x") is None
    known.remember("c", asked, [OLD])
    assert known.blob("c", "d/x") is None
    known.remember("c", known.ask(), [NEW])
    assert known.blob("c", "d/x") == NEW


def test_the_later_question_counts_however_late_the_answer_to_the_earlier_one(known):
    first, second = known.ask(), known.ask()
    known.remember("c", second, [NEW])
    known.remember("c", first, [OLD])
    assert known.blob("c", "d/x") == NEW


def test_the_answer_to_a_change_is_known(known):
    with known.changing("c", "d/x") as change:
        known.remember("c", known.ask(), [OLD])
        change.made(NEW)
    assert known.blob("c", "d/x") == NEW


def test_but_not_of_two_at_the_same_time(known):
    with known.changing("c", "d/x") as first:
        with known.changing("c", "d/x") as second:
            second.made(NEW)
        first.made(OLD)
    assert known.blob("c", "d/x") is None


def test_a_change_that_failed_leaves_nothing_known(known):
    known.remember("c", known.ask(), [OLD])
    with pytest.raises(OSError), known.changing("c", "d/x"):
        raise OSError
    assert known.blob("c", "d/x") is None


class TestAbsent:
    def test_until_somebody_may_have_made_it(self, known):
        known.remember_absent("c", known.ask(), ["d/x"])
        assert known.is_absent("c", "d/x")
        known.forget("c", ["another"])
        assert not known.is_absent("c", "d/x")

    @pytest.mark.parametrize("made", ["d/x", "d/x/below"])
    def test_until_this_process_makes_it(self, known, made):
        asked = known.ask()
        known.remember_absent("c", asked, ["d/x"])
        with known.changing("c", made):
            pass
        known.remember_absent("c", asked, ["d/x"])
        assert not known.is_absent("c", "d/x")

    def test_not_what_was_asked_before_somebody_may_have_made_it(self, known):
        asked = known.ask()
        known.forget("c", ["another"])
        known.remember_absent("c", asked, ["d/x"])
        assert not known.is_absent("c", "d/x")


def test_a_directorys_newest_blob_counts_until_one_below_changes(known):
    known.remember_newest("c", known.ask(), "d", 10.0)
    known.remember_newest("c", known.ask(), "e", 10.0)
    with known.changing("c", "d/deep/x"):
        pass
    assert known.newest_below("c", "d") is None
    assert known.newest_below("c", "e") == 10.0


def test_there_is_a_bound_and_nothing_wrong_beyond_it():
    known = MetadataCache(most=10)
    late = known.ask()
    for n in range(100):
        known.remember("c", known.ask(), [replace(OLD, name=f"d/{n}")])
        known.forget("c", [f"e/{n}"])
    assert known.blob("c", "d/0") is None
    assert known.blob("c", "d/99") is not None
    assert max(map(len, (known._blobs, known._changed, known._changed_below))) <= 10
    known.remember("c", late, [replace(OLD, name="e/0")])  # whose change is not kept any more
    assert known.blob("c", "e/0") is None
