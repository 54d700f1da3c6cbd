"""The features that were selected are run together, once for each way: a run of its own for each would take hours."""

import re
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import pytest

from .ways import HERE, WAYS, Done, Place

FEATURES = sorted(path.stem for path in (HERE / "features").glob("*.smk"))


def missing_program(feature: str) -> str | None:
    """The program that the feature needs and that this machine lacks, if there is one."""
    text = (HERE / "features" / f"{feature}.smk").read_text(encoding="utf-8")
    return next((name for name in re.findall(r"(?m)^# needs: (.+)$", text) if not shutil.which(name)), None)


@dataclass
class Runs:
    """How the selected features fared: the places, the first run in each, and the second."""

    places: dict[str, Place]
    first: dict[str, Done] = field(default_factory=dict)
    second: dict[str, Done] = field(default_factory=dict)


def lay_features(place: Place, features: list[str]) -> None:
    shutil.copytree(
        HERE / "features", place.folder / "features", ignore=shutil.ignore_patterns("__pycache__")
    )
    includes = [f'include: "features/{name}.smk"\n' for name in ["helpers/header", *features]]
    place.write({"Snakefile": "".join(includes)})
    place.put(HERE / "inputs")


@pytest.fixture(scope="session")
def place(tmp_path_factory, azurite, emulator_process) -> Callable[[str], Place]:
    """A new place for a way."""
    return lambda way: Place.make(way, tmp_path_factory.mktemp(way), azurite, emulator_process)


@pytest.fixture(scope="session")
def runs(request, place) -> Runs:
    """The features of this session's tests, run in all ways, two times."""
    called = (getattr(item, "callspec", None) for item in request.session.items)
    wanted = {call.params["feature"] for call in called if call and "feature" in call.params}
    features = [name for name in FEATURES if name in wanted and not missing_program(name)]
    done = Runs({way: place(way) for way in WAYS})

    def run(way: str) -> None:
        lay_features(done.places[way], features)
        done.first[way] = done.places[way].run("--keep-going", *features)
        done.second[way] = done.places[way].run("--keep-going", *features)

    # Side by side: much of a run is waiting.
    with ThreadPoolExecutor() as threads:
        list(threads.map(run, WAYS))
    return done
