"""Prices: from Azure's retail price API, whose documented shape a server here speaks; from a file; and built in."""

import json
import re
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import pytest

from snakemake.azure.batch import prices
from snakemake.azure.batch.prices import Cache, Prices, built_in, look_up, read_file, region_of
from snakemake.azure.batch.vm_sizes import vm_size
from snakemake.azure.settings import SettingsError

ACCOUNT = "https://acct.westeurope.batch.azure.com"
D4, D8, E4 = (vm_size(f"Standard_{name}ads_v5") for name in ("D4", "D8", "E4"))


def item(size, price, meter="", product="", **more):
    """An item as https://learn.microsoft.com/rest/api/cost-management/retail-prices/azure-retail-prices shows them."""
    short = size.removeprefix("Standard_").replace("_", " ")
    return {
        "currencyCode": "USD",
        "tierMinimumUnits": 0.0,
        "retailPrice": price,
        "unitPrice": price,
        "armRegionName": "westeurope",
        "location": "EU West",
        "meterName": f"{short}{meter}",
        "productName": f"Virtual Machines Dadsv5 Series{product}",
        "skuName": f"{short}{meter}",
        "serviceName": "Virtual Machines",
        "serviceFamily": "Compute",
        "unitOfMeasure": "1 Hour",
        "type": "Consumption",
        "isPrimaryMeterRegion": True,
        "armSkuName": size,
    } | more


ITEMS = [
    item("Standard_D4ads_v5", 0.4, product=" Windows"),
    item("Standard_D4ads_v5", 0.05, meter=" Low Priority"),
    item("Standard_D4ads_v5", 0.3, type="DevTestConsumption"),
    item("Standard_D4ads_v5", 0.25),
    item("Standard_D4ads_v5", 0.04, meter=" Spot"),
    item("Standard_D8ads_v5", 0.5),
    item("Standard_D8ads_v5", 0.09, meter=" Low Priority"),
    item("Standard_D8ads_v5", 9.0, armRegionName="eastus"),
]


@dataclass
class PriceList:
    """The retail price API: its filter, and pages of `page` items with a link to the next one."""

    page: int = 2
    status: int = 200
    hold: threading.Event | None = None
    asked: list[dict[str, str]] = field(default_factory=list)
    url: str = ""

    def answer(self, query):
        self.asked.append(query)
        if self.hold:
            self.hold.wait(30)
        wanted = query["$filter"]
        names = set(re.findall(r"armSkuName eq '(\w+)'", wanted))
        region = re.search(r"armRegionName eq '(\w+)'", wanted)[1]
        assert "serviceName eq 'Virtual Machines'" in wanted and "priceType eq 'Consumption'" in wanted
        found = [i for i in ITEMS if i["armSkuName"] in names and i["armRegionName"] == region]
        skip = int(query.get("$skip", 0))
        rest = f"{self.url}?$filter={wanted}&$skip={skip + self.page}".replace(" ", "%20")
        return {
            "BillingCurrency": "USD",
            "CustomerEntityId": "Default",
            "CustomerEntityType": "Retail",
            "Items": found[skip : skip + self.page],
            "NextPageLink": rest if skip + self.page < len(found) else None,
            "Count": len(found[skip : skip + self.page]),
        }

    @contextmanager
    def serving(self):
        api = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                query = {name: values[0] for name, values in parse_qs(urlsplit(self.path).query).items()}
                body = json.dumps(api.answer(query)).encode()
                self.send_response(api.status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *args):
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=lambda: server.serve_forever(0.02), daemon=True).start()
        api.url = f"http://127.0.0.1:{server.server_port}/api/retail/prices"
        try:
            yield api
        finally:
            server.shutdown()
            server.server_close()


@pytest.fixture
def api(monkeypatch):
    with PriceList().serving() as served:
        monkeypatch.setattr(prices, "URL", served.url)
        yield served


@pytest.fixture
def kept(tmp_path):
    time = [datetime(2026, 1, 1, tzinfo=UTC)]
    cache = Cache(tmp_path / "cache", lambda: time[0])
    object.__setattr__(cache, "pass_time", lambda span: time.__setitem__(0, time[0] + span))
    return cache


SIZES = ["Standard_D4ads_v5", "Standard_D8ads_v5", "Standard_E4ads_v5"]


def test_prices_of_the_region_from_all_pages(api, kept):
    found = look_up(ACCOUNT, SIZES, kept)
    assert (found.of(D4), found.of(D4, spot=True)) == (0.25, 0.04)
    assert (found.of(D8), found.of(D8, spot=True)) == (0.5, 0.09), "low priority where there is no Spot price"
    assert "westeurope" in found.source
    assert len(api.asked) == 4 and api.asked[1]["$skip"] == "2"


def test_what_the_region_has_no_price_for_it_does_not_offer(api, kept):
    found = look_up(ACCOUNT, SIZES, kept)
    assert found.is_sold(D4) and not found.is_sold(E4)
    assert found.is_sold(vm_size("Standard_E8ads_v5")), "which nobody has asked for"


def test_many_sizes_are_several_requests(api, kept):
    look_up(ACCOUNT, [f"Standard_D{n}s_v5" for n in range(2, 42)], kept)
    assert len(api.asked) == 3 and all(len(query["$filter"]) < 1500 for query in api.asked)


def test_they_are_kept_for_a_day(api, kept):
    look_up(ACCOUNT, SIZES, kept)
    asked = len(api.asked)
    again = look_up(ACCOUNT, SIZES[:1], kept)
    assert len(api.asked) == asked and again.of(D4) == 0.25 and "2026-01-01" in again.source
    look_up(ACCOUNT, ["Standard_D16ads_v5"], kept)
    assert len(api.asked) > asked, "for another size"
    look_up(ACCOUNT, SIZES, kept)
    asked = len(api.asked)
    kept.pass_time(timedelta(hours=25))
    look_up(ACCOUNT, SIZES, kept)
    assert len(api.asked) > asked


def test_a_failure_is_no_reason_not_to_run_and_not_repeated_at_once(api, kept):
    api.status = 503
    assert look_up(ACCOUNT, SIZES, kept) == built_in()
    asked = len(api.asked)
    assert look_up(ACCOUNT, SIZES, kept) == built_in() and len(api.asked) == asked
    kept.pass_time(timedelta(hours=2))
    api.status = 200
    assert look_up(ACCOUNT, SIZES, kept).of(D4) == 0.25


def test_a_slow_answer_is_not_waited_for_but_there_next_time(api, kept):
    from support.emulator import wait_until

    api.hold = threading.Event()
    assert look_up(ACCOUNT, SIZES, kept, patience=0.05) == built_in()
    api.hold.set()
    wait_until(lambda: kept.load("westeurope", SIZES))
    assert look_up(ACCOUNT, SIZES, kept).of(D4) == 0.25


@pytest.mark.parametrize(
    "answer", [[], {"Items": 1}, {"Items": [{"armSkuName": 1, "retailPrice": "x"}, 5]}, None]
)
def test_an_answer_of_another_shape(kept, answer):
    assert look_up(ACCOUNT, SIZES, kept, get=lambda url, query: answer) == built_in()


@pytest.mark.parametrize(
    "text", ["", "{", "[1]", '{"asked": 5}', '{"asked": "2026-01-01T00:00:00+00:00", "sought": 1}']
)
def test_a_spoilt_cache_is_none(api, kept, text):
    kept.home.mkdir()
    (kept.home / "prices-westeurope.json").write_text(text)
    assert look_up(ACCOUNT, SIZES, kept).of(D4) == 0.25


def test_no_place_for_the_cache(api, tmp_path):
    (tmp_path / "file").write_text("")
    assert look_up(ACCOUNT, SIZES, Cache(tmp_path / "file" / "below")).of(D4) == 0.25


@pytest.mark.parametrize(
    "endpoint, region",
    [
        (ACCOUNT, "westeurope"),
        ("https://acct.westeurope.batch.azure.com/", "westeurope"),
        ("https://acct.chinaeast2.batch.chinacloudapi.cn", None),
        ("http://127.0.0.1:10011", None),
    ],
)
def test_whose_prices(endpoint, region, api, kept):
    assert region_of(endpoint) == region
    if region is None:
        assert look_up(endpoint, SIZES, kept) == built_in() and not api.asked


def test_a_file(tmp_path):
    path = tmp_path / "prices.yaml"
    path.write_text("Standard_D4ads_v5: 3\nstandard_d8ads_v5: {dedicated: 7, spot: 1.5}\n")
    ours = read_file(path).over(built_in())
    assert [ours.of(D4), ours.of(D8), ours.of(D8, spot=True)] == [3, 7, 1.5]
    assert ours.of(D4, spot=True) == pytest.approx(0.6), "a share of its own price"
    assert ours.of(E4) == built_in().of(E4)


@pytest.mark.parametrize(
    "text, says",
    [
        ("Standard_Q4: 1", "Standard_Q4"),
        ("Standard_D4ads_v5: cheap", "price of Standard_D4ads_v5"),
        ("Standard_D4ads_v5: -1", "price of Standard_D4ads_v5"),
        ("Standard_D4ads_v5: {sport: 1}", "price of Standard_D4ads_v5"),
        ("- a", "must hold lines"),
        ("a: [", "neither YAML nor JSON"),
    ],
)
def test_bad_files(tmp_path, text, says):
    (tmp_path / "prices.yaml").write_text(text)
    with pytest.raises(SettingsError, match=f"(?s){says}") as e:
        read_file(tmp_path / "prices.yaml")
    assert "--az-batch-prices" in str(e.value)
    with pytest.raises(SettingsError, match="--az-batch-prices"):
        read_file(tmp_path / "none.yaml")


def test_the_built_in_ones_say_what_they_are_and_order_sizes_sensibly():
    ours = built_in()
    assert "approximate" in ours.source and re.search(r"20\d\d-\d\d", ours.source)
    assert ours.of(D4) < ours.of(vm_size("Standard_D4ds_v5")) < ours.of(E4) < ours.of(D8)
    assert ours.of(D4, spot=True) < ours.of(D4) / 2
    unknown = vm_size("Standard_D16ds_v7")
    assert not ours.knows(unknown) and ours.of(D8) < ours.of(unknown) < 4 * ours.of(D8)


def test_each_price_knows_where_it_is_from():
    given = Prices("prices of F", "", {"standard_d4ds_v5": 9.0})
    merged = given.over(Prices("Azure's", "USD", {"standard_d4ds_v5": 1.0, "standard_d8ds_v5": 2.0}))
    twice = merged.over(built_in())
    assert twice.origin(vm_size("Standard_D4ds_v5")) == ("prices of F", "")
    assert twice.origin(vm_size("Standard_D8ds_v5")) == ("Azure's", "USD")
    assert twice.origin(vm_size("Standard_D16ds_v5")) == (built_in().source, "USD")
