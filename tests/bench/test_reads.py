"""Every route that reads is measured."""

from api.app import create_app
from bench.reads import LEFT_OUT, Known, addresses, missing
from models.settings import Settings


def app(tmp_path):
    url = f"sqlite:///{tmp_path}/none.db"
    return create_app(Settings.from_environment({"EBBTIDE_DATABASE_URL": url, "EBBTIDE_ARTIFACTS": str(tmp_path)}))


def test_no_route_that_reads_is_passed_over(tmp_path):
    found = app(tmp_path)
    assert missing(found) == set()
    routes = {rule.rule for rule in found.url_map.iter_rules()}
    assert routes > LEFT_OUT
    assert {route.partition("?")[0] for route in addresses(Known(["a"], ["c"], "o", 1, "w"))} < routes


def test_one_that_is_passed_over_is_named(tmp_path):
    found = app(tmp_path)
    found.add_url_rule("/v1/more", view_func=lambda: "")
    assert missing(found) == {"/v1/more"}
