"""What looks like a credential, and what does not."""

import base64
import hashlib

import pytest

from snakemake.azure import secrets
from snakemake.azure.secrets import remember, without_secrets

KEY = base64.b64encode(hashlib.sha512(b"key").digest()).decode()
KEY32 = base64.b64encode(hashlib.sha256(b"key").digest()).decode()


@pytest.mark.parametrize(
    "text, shown",
    [
        (
            "http://h/c?se=2026&sig=ab%2Bc%3D&sp=r and Sig=xyz: no",
            "http://h/c?se=2026&sig=***&sp=r and Sig=***: no",
        ),
        ("AccountName=a;AccountKey = k1==;X=y", "AccountName=a;AccountKey = ***;X=y"),
        ("SharedAccessSignature=sv=1&sig=abc", "SharedAccessSignature=***&sig=***"),
        ("https://user:PW@registry.io/image", "https://user:***@registry.io/image"),
        (f"--vm-size {KEY} is", "--vm-size *** is"),
        (f"'{KEY}'", "'***'"),
        (f"az://{KEY}: no", "az://***: no"),
        (f"key {KEY32};", "key ***;"),
    ],
)
def test_blotted_out(text, shown):
    assert without_secrets(text) == shown


@pytest.mark.parametrize(
    "text",
    [
        "https://example.org:8080/x@y and me@example.org",
        "results/" + "long/path/" * 12 + "parameter=5/out.txt",
        "a/" + "b" * 60 + "=",
        "results/" + "RunA1/sampleB2/" * 4 + "alpha=-3/out.txt",
        hashlib.sha256(b"x").hexdigest(),
        "design=1 signature=2 assign = 3",
        "registry.example.org/image@sha256:" + "0" * 64,
    ],
)
def test_left_alone(text):
    assert without_secrets(text) == text


def test_a_credential_of_this_process_is_found_wherever_it_stands(monkeypatch):
    monkeypatch.setattr(secrets, "_known", set())
    remember(["hunter2-hunter2", None, "", "short"])
    assert without_secrets("az://c/hunter2-hunter2.txt and short") == "az://c/***.txt and short"
