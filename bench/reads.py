"""Requests per second of every route that reads, beside an empty Flask JSON endpoint under the same gunicorn.

    python -m bench.reads                        2,000 scored accounts, a minute
    python -m bench.reads --accounts 1000000     a million

Accounts are asked for at random among those that have contacts, so hardly an answer is found ready. Answers are not
alike: one says `ok`, another compares two runs of a manager's whole portfolio; `ms` is what one costs alone.
"""

import argparse
import json
import random
import shutil
import statistics
import tempfile
import time
import urllib.request
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from datetime import timedelta
from multiprocessing import get_context
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

from flask import Flask

from bench.http import EARLIER, fill
from bench.load import Server, ask_in_turn, compare, gunicorn, measure
from models.clock import isoformat, now
from models.store.engine import connect
from models.store.tables import CONTRACT

#: Accounts asked for in turn.
ASKED = 500
#: Routes that take too long to be asked in pairs for seconds are asked so many times, one after the other.
SLOW, SLOW_ASKED = 0.25, 5


@dataclass(frozen=True)
class Known:
    """What addresses are made of: accounts with contacts, persons, an owner of each size, lists and a webhook."""

    accounts: Sequence[str]
    contacts: Sequence[str]
    owner: str
    list_id: int
    webhook: str

    def of_accounts(self, rest: str = "") -> list[str]:
        """An address of each account."""
        return [f"/v1/accounts/{quote(one, safe='')}{rest}" for one in self.accounts]


def addresses(known: Known) -> dict[str, list[str]]:
    """Route -> addresses to ask for. Every route that reads is here; a test says so."""
    span = urlencode({"from": isoformat(now() - EARLIER + timedelta(hours=1))})
    then = urlencode({"as_of": isoformat(now() - EARLIER)})
    issued = f"/v1/risk-lists/{known.list_id}"
    return {
        "/healthz": ["/healthz"],
        "/readyz": ["/readyz"],
        "/metrics": ["/metrics"],
        "/openapi.json": ["/openapi.json"],
        "/docs": ["/docs"],
        "/docs/<name>": ["/docs/docs.js"],
        "/v1/accounts/<ident:account_id>": known.of_accounts(),
        "/v1/accounts/<ident:account_id>/health": known.of_accounts("/health"),
        "/v1/accounts/<ident:account_id>/health?as_of": known.of_accounts(f"/health?{then}"),
        "/v1/accounts/<ident:account_id>/scores": known.of_accounts("/scores"),
        "/v1/accounts/<ident:account_id>/changes": known.of_accounts(f"/changes?{span}"),
        "/v1/accounts/<ident:account_id>/sentiment": known.of_accounts("/sentiment")[:1],
        "/v1/accounts/<ident:account_id>/personal-data": known.of_accounts("/personal-data"),
        "/v1/contacts/<ident:contact_id>/personal-data": [
            f"/v1/contacts/{quote(one, safe='')}/personal-data" for one in known.contacts
        ],
        "/v1/portfolio/changes": [f"/v1/portfolio/changes?{span}&{urlencode({'owner': known.owner})}"],
        "/v1/risk-lists/silent": ["/v1/risk-lists/silent?limit=50"],
        "/v1/risk-lists/disagreement": ["/v1/risk-lists/disagreement"],
        "/v1/risk-lists/<int:list_id>": [issued],
        "/v1/risk-lists/<int:list_id>/changes": [f"{issued}/changes"],
        "/v1/risk-lists/<int:list_id>/grade": [f"{issued}/grade"],
        "/v1/model": ["/v1/model"],
        "/v1/model/history": ["/v1/model/history"],
        "/v1/freshness": ["/v1/freshness"],
        "/v1/webhooks": ["/v1/webhooks"],
        "/v1/webhooks/<webhook_id>": [f"/v1/webhooks/{known.webhook}"],
        "/v1/webhooks/<webhook_id>/deliveries": [f"/v1/webhooks/{known.webhook}/deliveries"],
        "/v1/inbound": ["/v1/inbound"],
        "/v1/keys": ["/v1/keys"],
        "/v1/audit": ["/v1/audit"],
    }


#: Not measured: there is nothing to read before `ebbtide monitor` has looked at a fitted model.
LEFT_OUT = frozenset({"/v1/model/monitor"})


def missing(app: Flask) -> set[str]:
    """The routes that read and are not measured."""
    reads = {rule.rule for rule in app.url_map.iter_rules() if "GET" in (rule.methods or ())}
    measured = {route.partition("?")[0] for route in addresses(Known(["a"], ["c"], "o", 1, "w"))}
    return reads - measured - LEFT_OUT


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--accounts", type=int, default=2_000, help="scored accounts in the store")
    parser.add_argument("--seconds", type=float, default=2.0, help="of load per measurement")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--threads", type=int, default=4)
    parser.add_argument("--connections", type=int, default=4, help="per load process")
    parser.add_argument("--clients", type=int, default=1, help="load processes")
    parser.add_argument("--database", help="a database address; default: a SQLite file of its own")
    args = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="ebbtide-bench-"))
    try:
        run(args, folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def run(args: argparse.Namespace, folder: Path) -> None:
    """Fill a store, serve it, measure, print."""
    url = args.database or f"sqlite:///{folder}/bench.db"
    began = time.perf_counter()
    key, ids, _ = fill(url, folder / "artefacts", args.accounts)
    print(f"store: {args.accounts:,} scored accounts, made in {time.perf_counter() - began:.0f} s", flush=True)
    ours = {"EBBTIDE_DATABASE_URL": url, "EBBTIDE_ARTIFACTS": str(folder / "artefacts"), "EBBTIDE_LOG_LEVEL": "info"}
    ours["EBBTIDE_RATE_LIMIT"] = "none"
    options = ("--workers", str(args.workers), "--threads", str(args.threads))
    with (
        gunicorn("bench.http:empty()", options, {}, folder) as yardstick,
        gunicorn("api.wsgi:build()", options, ours, folder) as server,
        ProcessPoolExecutor(args.clients, mp_context=get_context("spawn")) as pool,
    ):
        known = _prepare(url, server, key, ids)
        plain = [b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"]
        measure(pool, args, yardstick, plain, 1)
        print(f"{'':<48}{'per second':>11}{'yardstick':>11}{'ratio':>8}{'ms alone':>10}{'p99 ms':>9}")
        for route, asked in addresses(known).items():
            requests = [f"GET {one} HTTP/1.1\r\nHost: x\r\nX-API-Key: {key}\r\n\r\n".encode() for one in asked]
            alone = statistics.median(ask_in_turn(server.port, (requests * SLOW_ASKED)[: max(SLOW_ASKED, 20)]))
            name = f"{route.replace('<ident:', '<').replace('<int:', '<'):<48}"
            if alone > SLOW:
                print(f"{name}{1 / alone:>11,.1f}{'':>19}{1000 * alone:>10,.1f}", flush=True)
                continue
            found, base = compare(pool, args, (server, requests), (yardstick, plain))
            print(
                f"{name}{found.per_second:>11,.0f}{base.per_second:>11,.0f}{found.per_second / base.per_second:>8.3f}"
                f"{1000 * alone:>10.1f}{1000 * found.p99:>9.1f}",
                flush=True,
            )


def _prepare(url: str, server: Server, key: str, ids: Sequence[str]) -> Known:
    """Two issued lists, a sentiment and a webhook, and what else addresses are made of."""
    dice = random.Random(5)
    table, accounts = CONTRACT["interactions"], CONTRACT["accounts"]
    engine = connect(url)
    with engine.connect() as conn:
        active = [row[0] for row in conn.execute(table.select().with_only_columns(table.c.account_id).distinct())]
        people = conn.execute(
            table.select().with_only_columns(table.c.contact_id).where(table.c.contact_id.is_not(None)).limit(ASKED)
        )
        contacts = sorted({row[0] for row in people})
        owner = conn.execute(accounts.select().where(accounts.c.account_id == ids[0])).one().owner
    engine.dispose()
    scored = sorted(set(active) & set(ids))
    first = _send(server, key, "POST", "/v1/risk-lists", {"capacity": 20})["list"]["list_id"]
    second = _send(server, key, "POST", "/v1/risk-lists", {"capacity": 20, "since": first})["list"]["list_id"]
    chosen = dice.sample(scored, min(ASKED, len(scored)))
    _send(server, key, "PUT", f"/v1/accounts/{quote(chosen[0], safe='')}/sentiment", {"sentiment": 2, "who": "bench"})
    hook = {"url": "https://hooks.example.com/ebbtide", "events": ["list.published"]}
    webhook = _send(server, key, "POST", "/v1/webhooks", hook)["webhook_id"]
    return Known(chosen, contacts, owner, second, webhook)


def _send(server: Server, key: str, method: str, path: str, body: Mapping[str, Any]) -> Any:
    request = urllib.request.Request(
        f"http://127.0.0.1:{server.port}{path}",
        json.dumps(body).encode(),
        {"X-API-Key": key, "Content-Type": "application/json"},
        method=method,
    )
    with urllib.request.urlopen(request, timeout=600) as answer:
        return json.load(answer)


if __name__ == "__main__":
    main()
