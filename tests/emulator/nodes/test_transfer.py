"""Where resource files go."""

from azure_batch_emulator.identity.issuer import Issuer
from azure_batch_emulator.nodes import transfer
from azure_batch_emulator.nodes.access import NodeAccess


def fetch(tmp_path, path):
    (tmp_path / "wd").mkdir()
    source = tmp_path / "source"
    source.write_text("x")
    resource = {"httpUrl": source.as_uri(), "filePath": path}
    return transfer.fetch([resource], tmp_path / "wd", lambda: False, NodeAccess(Issuer()))


def test_an_absolute_path_is_taken_as_it_is(tmp_path):
    assert fetch(tmp_path, str(tmp_path / "elsewhere" / "a")) is None
    assert (tmp_path / "elsewhere" / "a").read_text() == "x"


def test_a_relative_path_may_not_leave_the_working_directory(tmp_path):
    assert fetch(tmp_path, "../a").code == "ResourceFileInvalidFilePath"
