"""Where the credentials come from, and what tasks are given."""

import dataclasses
from datetime import UTC, datetime

import pytest

from snakemake.azure.blob.account import (
    AZURITE_KEY,
    AZURITE_URL,
    NOT_FOR_NODES,
    BlobAccount,
    BlobAccountError,
)

KEY = "a2V5a2V5"
OTHER = "b3RoZXI="
SAS = "sv=2023-11-03&se=2030-01-01T00%3A00%3A00Z&sp=rwdlc&sig=c2ln%3D"
CLOUD = "https://acme1.blob.core.windows.net"
NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
CONNECTION = (
    f"DefaultEndpointsProtocol=https;AccountName=acme2;AccountKey={KEY};EndpointSuffix=core.windows.net"
)


def resolve(environ=None, **settings) -> BlobAccount:
    return BlobAccount.resolve(**settings, environ=environ or {})


@pytest.mark.parametrize(
    ("environ", "settings", "url", "name", "key", "sas"),
    [
        pytest.param(
            {"AZ_BLOB_ACCOUNT_URL": f"{CLOUD}?{SAS}"}, {}, CLOUD, "acme1", None, SAS, id="sas in the url"
        ),
        pytest.param({"AZ_BLOB_ACCOUNT_URL": CLOUD}, {}, CLOUD, "acme1", None, None, id="entra"),
        pytest.param(
            {"AZ_BLOB_ACCOUNT_URL": f"{CLOUD}/", "AZ_BLOB_ACCOUNT_KEY": KEY},
            {},
            CLOUD,
            "acme1",
            KEY,
            None,
            id="key",
        ),
        pytest.param(
            {"AZ_BLOB_ACCOUNT_URL": CLOUD, "AZ_BLOB_CREDENTIAL": KEY},
            {},
            CLOUD,
            "acme1",
            KEY,
            None,
            id="old key",
        ),
        pytest.param(
            {"AZ_BLOB_ACCOUNT_URL": CLOUD, "AZ_BLOB_CREDENTIAL": f"?{SAS}"},
            {},
            CLOUD,
            "acme1",
            None,
            SAS,
            id="old sas",
        ),
        pytest.param(
            {"AZ_BLOB_ACCOUNT_URL": f"{CLOUD}/box?{SAS}"},
            {},
            CLOUD,
            "acme1",
            None,
            SAS,
            id="a container's sas url",
        ),
        pytest.param(
            {"AZ_BLOB_ACCOUNT_URL": f"{AZURITE_URL}?{SAS}"},
            {},
            AZURITE_URL,
            "devstoreaccount1",
            None,
            SAS,
            id="path style",
        ),
        pytest.param(
            {"AZ_BLOB_ACCOUNT_URL": "https://azurite:10000/one", "AZ_BLOB_ACCOUNT_KEY": KEY},
            {},
            "https://azurite:10000/one",
            "one",
            KEY,
            None,
            id="path style by name",
        ),
        pytest.param(
            {"AZ_BLOB_ACCOUNT_URL": "https://acme1.blob.core.chinacloudapi.cn"},
            {},
            "https://acme1.blob.core.chinacloudapi.cn",
            "acme1",
            None,
            None,
            id="sovereign cloud",
        ),
        pytest.param(
            {"AZ_BLOB_ACCOUNT_URL": "https://acme1.z01.blob.storage.azure.net"},
            {},
            "https://acme1.z01.blob.storage.azure.net",
            "acme1",
            None,
            None,
            id="dns zone",
        ),
        pytest.param(
            {"AZ_BLOB_CONNECTION_STRING": CONNECTION},
            {},
            "https://acme2.blob.core.windows.net",
            "acme2",
            KEY,
            None,
            id="connection string",
        ),
        pytest.param(
            {"AZURE_STORAGE_CONNECTION_STRING": f"BlobEndpoint={CLOUD}/;SharedAccessSignature={SAS}"},
            {},
            CLOUD,
            "acme1",
            None,
            SAS,
            id="connection string with sas",
        ),
        pytest.param(
            {"AZ_BLOB_CONNECTION_STRING": "UseDevelopmentStorage=true"},
            {},
            AZURITE_URL,
            "devstoreaccount1",
            AZURITE_KEY,
            None,
            id="development storage",
        ),
        pytest.param(
            {
                "AZ_BLOB_CONNECTION_STRING": "UseDevelopmentStorage=True;DevelopmentStorageProxyUri=http://azurite:1/;"
            },
            {},
            "http://azurite:10000/devstoreaccount1",
            "devstoreaccount1",
            AZURITE_KEY,
            None,
            id="development storage on another host",
        ),
        pytest.param(
            {
                "AZ_BLOB_CONNECTION_STRING": f"AccountName=acme2;AccountKey={KEY};BlobEndpoint=https://data.acme.org"
            },
            {},
            "https://data.acme.org",
            "acme2",
            KEY,
            None,
            id="custom domain",
        ),
        pytest.param(
            {"AZ_BLOB_ACCOUNT_URL": f"https://data.acme.org/?{SAS}"},
            {},
            "https://data.acme.org",
            "data.acme.org",
            None,
            SAS,
            id="custom domain with sas",
        ),
        pytest.param(
            {
                "AZ_BLOB_CONNECTION_STRING": f"AccountName=acme2;BlobEndpoint=https://data.acme.org/;SharedAccessSignature={SAS}"
            },
            {},
            "https://data.acme.org",
            "acme2",
            None,
            SAS,
            id="custom domain, connection string with sas",
        ),
        pytest.param(
            {
                "AZ_BLOB_CONNECTION_STRING": f"AccountName=acme2;AccountKey={KEY};EndpointSuffix=core.usgovcloudapi.net"
            },
            {},
            "https://acme2.blob.core.usgovcloudapi.net",
            "acme2",
            KEY,
            None,
            id="connection string with suffix",
        ),
        pytest.param(
            {"AZ_BLOB_ACCOUNT_URL": f"{CLOUD}?{SAS}", "AZ_BLOB_ACCOUNT_KEY": KEY},
            {},
            CLOUD,
            "acme1",
            None,
            SAS,
            id="sas before key",
        ),
        pytest.param(
            {"AZ_BLOB_ACCOUNT_URL": CLOUD, "AZ_BLOB_CONNECTION_STRING": CONNECTION},
            {},
            CLOUD,
            "acme1",
            None,
            None,
            id="url before connection string",
        ),
        pytest.param(
            {"AZ_BLOB_ACCOUNT_URL": "https://acme3.blob.core.windows.net", "AZ_BLOB_ACCOUNT_KEY": OTHER},
            {"account_url": CLOUD, "account_key": KEY},
            CLOUD,
            "acme1",
            KEY,
            None,
            id="settings before environment",
        ),
        pytest.param(
            {"AZ_BLOB_ACCOUNT_KEY": OTHER},
            {"account_url": CLOUD},
            CLOUD,
            "acme1",
            OTHER,
            None,
            id="url from settings, key from environment",
        ),
        pytest.param(
            {"AZ_BLOB_ACCOUNT_URL": CLOUD},
            {"connection_string": CONNECTION},
            "https://acme2.blob.core.windows.net",
            "acme2",
            KEY,
            None,
            id="connection string from settings",
        ),
    ],
)
def test_resolution(environ, settings, url, name, key, sas):
    account = resolve(environ, **settings)
    assert (account.url, account.name, account.key, account.sas) == (url, name, key, sas)
    assert account.kind == ("key" if key else "sas" if sas else "token")


@pytest.mark.parametrize(
    ("environ", "settings", "named"),
    [
        ({}, {}, "AZ_BLOB_ACCOUNT_URL"),
        ({"AZ_BLOB_ACCOUNT_KEY": KEY}, {}, "AZ_BLOB_ACCOUNT_URL"),
        ({"AZ_BLOB_ACCOUNT_URL": "acme1"}, {}, "AZ_BLOB_ACCOUNT_URL"),
        ({"AZ_BLOB_ACCOUNT_URL": "ftp://acme1.blob.core.windows.net"}, {}, "AZ_BLOB_ACCOUNT_URL"),
        ({"AZ_BLOB_ACCOUNT_URL": "https://acme1.blob.core.windows.net:x"}, {}, "AZ_BLOB_ACCOUNT_URL"),
        ({"AZ_BLOB_ACCOUNT_URL": "https://u:p@acme1.blob.core.windows.net"}, {}, "AZ_BLOB_ACCOUNT_URL"),
        ({"AZ_BLOB_ACCOUNT_URL": "https://Acme_1.blob.core.windows.net"}, {}, "AZ_BLOB_ACCOUNT_URL"),
        ({"AZ_BLOB_ACCOUNT_URL": f"{CLOUD}/a/b"}, {}, "AZ_BLOB_ACCOUNT_URL"),
        ({"AZ_BLOB_ACCOUNT_URL": "https://data.acme.org"}, {}, "AZ_BLOB_ACCOUNT_URL"),
        ({"AZ_BLOB_ACCOUNT_URL": f"http://127.0.0.1:10000?{SAS}"}, {}, "AZ_BLOB_ACCOUNT_URL"),
        ({"AZ_BLOB_ACCOUNT_URL": f"{CLOUD}?sv=2023-11-03"}, {}, "AZ_BLOB_ACCOUNT_URL"),
        ({"AZ_BLOB_ACCOUNT_URL": AZURITE_URL}, {}, "AZ_BLOB_ACCOUNT_KEY"),
        ({"AZ_BLOB_ACCOUNT_URL": CLOUD, "AZ_BLOB_ACCOUNT_KEY": "not base64!"}, {}, "AZ_BLOB_ACCOUNT_KEY"),
        ({"AZ_BLOB_ACCOUNT_URL": CLOUD, "AZ_BLOB_CREDENTIAL": "not base64!"}, {}, "AZ_BLOB_CREDENTIAL"),
        ({"AZ_BLOB_CONNECTION_STRING": "nonsense"}, {}, "AZ_BLOB_CONNECTION_STRING"),
        (
            {"AZ_BLOB_CONNECTION_STRING": "UseDevelopmentStorage=true;DevelopmentStorageProxyUri=azurite"},
            {},
            "DevelopmentStorageProxyUri in AZ_BLOB_CONNECTION_STRING",
        ),
        ({"AZ_BLOB_CONNECTION_STRING": "AccountName=acme2"}, {}, "AZ_BLOB_CONNECTION_STRING"),
        ({"AZ_BLOB_CONNECTION_STRING": f"AccountName=a2;AccountKey={KEY}!"}, {}, "AZ_BLOB_CONNECTION_STRING"),
        ({}, {"account_url": "acme1"}, "--storage-azblob-account-url"),
        ({}, {"account_url": CLOUD, "account_key": "%"}, "--storage-azblob-account-key"),
        ({}, {"connection_string": "nonsense"}, "--storage-azblob-connection-string"),
        ({}, {"account_url": CLOUD, "connection_string": CONNECTION}, "--storage-azblob-connection-string"),
    ],
)
def test_faults_name_what_to_set(environ, settings, named):
    with pytest.raises(BlobAccountError) as error:
        resolve(environ, **settings)
    message = str(error.value)
    assert named in message
    assert "\n" not in message and message.endswith(".")
    assert KEY not in message


def test_no_secret_in_the_representation():
    for account in (
        resolve({"AZ_BLOB_CONNECTION_STRING": CONNECTION}),
        resolve(account_url=f"{CLOUD}?{SAS}"),
    ):
        assert account.url in repr(account)
        assert KEY not in repr(account) and "c2ln" not in repr(account)


def test_the_account_cannot_be_changed():
    with pytest.raises(dataclasses.FrozenInstanceError):
        resolve(account_url=CLOUD).key = KEY  # type: ignore[misc]


def test_the_variables_kept_from_nodes_are_those_that_are_read():
    class Recorder(dict):
        def get(self, name, default=None):
            read.add(name)
            return super().get(name, default)

    read: set[str] = set()
    resolve(Recorder(AZ_BLOB_ACCOUNT_URL=CLOUD))
    resolve(Recorder(AZURE_STORAGE_CONNECTION_STRING=CONNECTION))
    assert read <= NOT_FOR_NODES


@pytest.mark.parametrize(
    ("end", "words"),
    [
        ("2026-11-22T11%3A00%3A00Z", "expired at 2026-11-22 11:00 UTC"),
        ("2026-11-23T11%3A59Z", "expires at 2026-11-23 11:59 UTC"),
        ("2026-11-23", "expires at 2026-11-23 00:00 UTC"),
        ("2026-11-23T12%3A00%3A00Z", None),
        ("whenever", None),
    ],
)
def test_a_sas_that_ends_soon_is_warned_of(end, words):
    account = resolve({"AZ_BLOB_ACCOUNT_URL": f"{CLOUD}?se={end}&sig=abc"})
    warning = account.expiry_warning(NOW)
    if words is None:
        assert warning is None
    else:
        assert warning is not None and words in warning and "AZ_BLOB_ACCOUNT_URL" in warning


def test_a_key_never_expires():
    assert resolve({"AZ_BLOB_CONNECTION_STRING": CONNECTION}).expiry_warning(NOW) is None
