"""Which prefixes are listed: pure, by asking the plan as Snakemake would."""

from hypothesis import given
from hypothesis import strategies as st

from snakemake.azure.blob.inventory import MAX_PAGES, Crowd, Listing, ListingPlan, lineage, parent_of


def listed(plan: ListingPlan, directory: str, too_large: tuple[Listing, ...] = ()) -> list[tuple[str, bool]]:
    found = []
    while listing := plan.next("box", directory):
        found.append((listing.directory, listing.recursive))
        plan.done(listing, complete=listing not in too_large)
    return found


def test_one_directory_is_listed_once():
    plan = ListingPlan()
    assert listed(plan, "p/data") == [("p/data", False)]
    assert listed(plan, "p/data") == []
    assert plan.root("box", "p/data") == "p/data"
    assert plan.root("other", "p/data") is None


def test_a_third_sibling_brings_the_parent_with_all_below():
    plan = ListingPlan()
    found = [listed(plan, f"p/out/{n}") for n in range(1000)]
    assert found[:4] == [[("p/out/0", False)], [("p/out/1", False)], [("p/out", True)], []]
    assert sum(found, []) == found[0] + found[1] + found[2]
    assert plan.root("box", "p/out/7/deeper") == "p/out"
    assert plan.root("box", "p/out") == "p/out"
    assert plan.root("box", "p") is None


def test_it_climbs_on():
    plan = ListingPlan()
    requests = sum(len(listed(plan, f"p/{a}/{b}")) for a in range(30) for b in range(30))
    assert requests <= 9
    assert plan.root("box", "p/29/29") == "p"


def test_a_shared_container_is_not_listed_for_a_few_of_its_directories():
    plan = ListingPlan()
    found = sum([listed(plan, f"{top}/{n}") for top in range(MAX_PAGES) for n in range(5)], [])
    assert len(found) == 3 * MAX_PAGES and ("", True) not in found
    assert listed(plan, "one more") == [("", True)]
    assert plan.root("box", "any/other") == ""


def test_what_is_too_large_is_asked_for_in_smaller_pieces():
    plan = ListingPlan()
    huge = Listing("box", "p", True)
    listed(plan, "p/a")
    listed(plan, "p/b")
    assert listed(plan, "p/c", (huge,)) == [("p", True), ("p/c", False)]
    assert listed(plan, "p/d", (huge,)) == [("p/d", False)]
    assert plan.root("box", "p/c") == "p/c"


def test_a_directory_too_large_for_itself_is_given_up():
    plan = ListingPlan()
    assert listed(plan, "p", (Listing("box", "p", False),)) == [("p", False)]
    assert listed(plan, "p") == []
    assert plan.root("box", "p") is None


def test_around_something_too_large_nothing_larger_is_tried():
    plan = ListingPlan()
    plan.done(Listing("box", "a/b", True), complete=False)
    for name in ("a/x", "a/y", "a/z", "a/w"):
        assert listed(plan, name) == [(name, False)]


def test_lineage():
    assert lineage("a/b/c") == ["a/b/c", "a/b", "a", ""]
    assert lineage("") == [""]
    assert parent_of("a/b") == "a" and parent_of("a") == ""


def test_a_crowd_is_noticed_and_listed_once_a_second():
    crowd = Crowd(seconds=1.0)
    assert not any(crowd.asks("box", "d", n / 100) for n in range(20))
    assert crowd.asks("box", "d", 0.2)
    assert not any(crowd.asks("box", "d", 0.2 + n / 100) for n in range(99))
    assert crowd.asks("box", "d", 1.3)
    assert not crowd.asks("box", "other", 1.3)


def test_a_few_now_and_then_are_no_crowd():
    crowd = Crowd(seconds=1.0)
    assert not any(crowd.asks("box", "d", float(n)) for n in range(100))


def test_a_crowd_of_long_ago_is_forgotten():
    crowd = Crowd(seconds=1.0)
    assert [n for n in range(25) if crowd.asks("box", "d", n / 100)] == [20]
    assert not crowd.asks("box", "d", 60.0)


def test_a_directory_given_up_is_not_suggested_again():
    crowd = Crowd(seconds=1.0)
    crowd.give_up("box", "d")
    assert not any(crowd.asks("box", "d", n / 10) for n in range(200))


paths = st.lists(st.sampled_from("abc"), max_size=4).map("/".join)


@given(st.lists(paths, max_size=40), st.sets(paths), st.sets(paths))
def test_it_ends_and_never_lists_twice(directories, flat_too_large, whole_too_large):
    plan = ListingPlan()
    too_large = tuple(Listing("box", d, False) for d in flat_too_large) + tuple(
        Listing("box", d, True) for d in whole_too_large
    )
    seen = []
    for directory in directories:
        found = listed(plan, directory, too_large)
        assert len(found) <= 6
        seen += found
        known = plan.root("box", directory)
        assert known is None or known in lineage(directory)
        assert (known is None) <= (directory in flat_too_large)
    assert len(seen) == len(set(seen))
