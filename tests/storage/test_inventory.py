"""Which prefixes are listed: pure, by asking the plan as Snakemake would."""

from hypothesis import given
from hypothesis import strategies as st

from snakemake.azure.blob.inventory import MAX_PAGES, Directories, Listing, ListingPlan, lineage, parent_of


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


class TestDirectories:
    def test_a_listing_pays_for_many_names_of_a_directory_that_is_not_too_large(self):
        directories = Directories()
        assert directories.pages("box", "d", 19) == 0
        assert directories.pages("box", "d", 20) == 1  # of unknown size: one page is worth a try
        directories.saw("box", "d", 10_000)
        assert directories.pages("box", "d", 249) == 0
        assert directories.pages("box", "d", 250) == 2

    def test_there_are_never_more_requests_than_names(self):
        directories = Directories()
        times = [n for n in range(1, 1001) if directories.missed("box", "d")]
        assert times == [21, 43, 87, 175, 351, 703]
        assert directories.missed("box", "other") == 0


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
