"""A task starts a Snakemake without databases and reports, and that Snakemake is otherwise the same."""

import json
import subprocess
import sys


def run(code):
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


RECORD = """
import json
{start}
from snakemake.persistence import MetadataRecord
empty = MetadataRecord()
full = MetadataRecord.model_validate({{"rule": "a", "input": ["x"], "starttime": 1.5, "input_checksums": {{"x": "md5:0"}}}})
other = MetadataRecord()
empty.input_checksums["y"] = 1
print(json.dumps([dict(empty.items()), dict(full.items()), dict(other.items()), sorted(full.keys()), full["rule"],
                  full.get("nothing", 7)]))
"""


def test_records_behave_as_upstreams():
    lean = run(
        RECORD.format(
            start="from snakemake.azure.node.startup import skip_unused_imports; skip_unused_imports()"
        )
    )
    assert lean == run(RECORD.format(start=""))


# A logger plugin that the tests have, and images have not, loads SQLAlchemy by itself.
WITHOUT_ITS_PLUGIN = (
    "import pkgutil; look = pkgutil.iter_modules;"
    "pkgutil.iter_modules = lambda *a, **k: (m for m in look(*a, **k) if m.name != 'snakemake_logger_plugin_snkmt');"
)


def test_nothing_heavy_is_loaded_and_no_stand_in_stays():
    loaded = run(
        WITHOUT_ITS_PLUGIN
        + "import json, sys; from snakemake.azure.node.startup import skip_unused_imports; skip_unused_imports(); import snakemake.cli;"
        "snakemake.cli.get_argument_parser();"
        "print(json.dumps([n for n in ('sqlalchemy', 'sqlmodel', 'pydantic', 'jinja2', 'docutils', 'yte') if n in sys.modules]))"
    )
    assert loaded == []


def test_a_rule_can_use_the_real_sqlalchemy():
    version = run(
        "import json; from snakemake.azure.node.startup import skip_unused_imports; skip_unused_imports(); import snakemake.cli;"
        "import sqlalchemy, sqlmodel; print(json.dumps([sqlalchemy.__version__, sqlmodel.SQLModel.__module__]))"
    )
    assert version[0] and version[1].startswith("sqlmodel")


def test_too_late_changes_nothing():
    backends = run(
        "import json, snakemake.cli, snakemake.workflow as w; from snakemake.azure.node.startup import skip_unused_imports; skip_unused_imports();"
        "print(json.dumps(w.DbPersistence.__module__))"
    )
    assert backends == "snakemake.persistence.db"


PLUGINS = """
import json
{start}
import snakemake.cli
from snakemake_interface_executor_plugins.registry import ExecutorPluginRegistry as Executors
from snakemake_interface_logger_plugins.registry import LoggerPluginRegistry as Loggers
from snakemake_interface_scheduler_plugins.registry import SchedulerPluginRegistry as Schedulers
from snakemake_interface_storage_plugins.registry import StoragePluginRegistry as Storages
kinds = [Executors, Loggers, Schedulers, Storages]
print(json.dumps([sorted(kind().get_registered_plugins()) for kind in kinds]))
"""


def test_the_same_plugins_are_found_by_one_look():
    count = "import pkgutil; real = pkgutil.iter_modules; looks = []\n"
    count += "pkgutil.iter_modules = lambda *a, **k: (looks.append(a), real(*a, **k))[1]\n"
    lean = "from snakemake.azure.node.startup import skip_unused_imports; skip_unused_imports()"
    found = run(PLUGINS.format(start=lean))
    assert found == run(PLUGINS.format(start=""))
    assert "azblob" in found[3] and "az-batch" in found[0]
    looks = PLUGINS.format(start=count + lean) + "print(json.dumps(len(looks)))"
    done = subprocess.run([sys.executable, "-c", looks], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "1"


def test_garbage_is_collected_again_after_the_imports():
    state = run(
        "import gc, json; from snakemake.azure.node.startup import loading\n"
        "with loading(): inside = gc.isenabled()\n"
        "print(json.dumps([inside, gc.isenabled(), gc.get_freeze_count() > 1000]))"
    )
    assert state == [False, True, True]
