"""Quotas of an account: what they allow of a run."""

import pytest

from snakemake.azure.batch.quotas import Quotas, manager
from snakemake.azure.batch.vm_sizes import vm_size

SIZE = vm_size("Standard_D4s_v3")
FAMILY = {"standard_d4s_v3": "standarddsv3family"}


@pytest.mark.parametrize(
    ("quotas", "says"),
    [
        (Quotas(), None),
        (Quotas(dedicated=4, pools=1, jobs=1, families={"standarddsv3family": 4}, sizes=FAMILY), None),
        (Quotas(dedicated=3), "3 dedicated cores"),
        (Quotas(dedicated=0), "ask for quota"),
        (Quotas(pools=0), "0 pools"),
        (Quotas(jobs=0), "0 active jobs"),
        (Quotas(sizes={"standard_d2s_v3": ""}), "does not offer Standard_D4s_v3"),
        (Quotas(dedicated=100, families={"standarddsv3family": 2}, sizes=FAMILY), "family"),
        (Quotas(dedicated=100, families={}, sizes=FAMILY), "0 dedicated cores for the family"),
    ],
)
def test_what_stands_in_the_way_of_a_node(quotas, says):
    problem = quotas.problem(SIZE, nodes=1, pools=1, jobs=1)
    assert problem is None if says is None else says in problem


@pytest.mark.parametrize(
    ("endpoint", "url"),
    [
        ("https://a.westeurope.batch.azure.com", "https://management.azure.com"),
        ("https://a.chinaeast2.batch.chinacloudapi.cn", "https://management.chinacloudapi.cn"),
        ("https://127.0.0.1:10011", "https://127.0.0.1:10011"),
    ],
)
def test_each_cloud_has_its_resource_manager(endpoint, url):
    assert manager(endpoint) == url
