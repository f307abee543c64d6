"""How fast the service answers, each figure beside an empty Flask JSON endpoint under the same gunicorn.

    python -m bench.http                                  a small store, seconds
    python -m bench.http --accounts 1000000 --seconds 10  a million scored accounts

The model has a term for every feature, so that nothing is cheaper here than it can become. Load comes from
processes of our own over keep-alive connections to the loopback address. Figure and yardstick take turns of half
a second, since a machine is not equally fast all the time; beside them stands the processor time the server spent on
a request, which other work on the machine disturbs least.
"""

import argparse
import json
import random
import shutil
import statistics
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, datetime, timedelta
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import polars as pl
from flask import Flask

from bench.load import Server, ask_in_turn, compare, gunicorn, measure
from models import lists, registry
from models.clock import now
from models.features import DEFAULT, FEATURES, Feature, compute
from models.features.fingerprint import fingerprints
from models.health import HealthParams
from models.history import History
from models.labels import LabelParams
from models.model import ChurnModel, usual_values
from models.scorecard import Scorecard, Target, Term
from models.scoring import Scored, score_history
from models.store import scoring
from models.store.engine import connect
from models.store.keys import create_key
from models.store.lists import ENTRY_SCHEMA, publish_list
from models.store.migrate import migrate
from models.store.scores import save_scores
from models.store.upsert import upsert
from training import simulator

SIMULATED = 1_000
#: Refits a fitted model carries for its intervals.
REFITS = 20
WEEKS = 80
#: Between the two runs.
EARLIER = timedelta(days=28)


def empty() -> Flask:
    """The yardstick: an application whose only address answers `{}`."""
    app = Flask("yardstick")

    @app.get("/")
    def nothing() -> dict[str, str]:
        return {}

    return app


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--accounts", type=int, default=2_000, help="scored accounts in the store")
    parser.add_argument("--seconds", type=float, default=3.0, help="of load per measurement")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--threads", type=int, default=4)
    parser.add_argument("--connections", type=int, default=4, help="per load process")
    parser.add_argument("--clients", type=int, default=1, help="load processes")
    parser.add_argument("--batches", type=int, default=10, help="of 10,000 interactions")
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
    key, ids, sample = fill(url, folder / "artefacts", args.accounts)
    print(f"store: {args.accounts:,} scored accounts, made in {time.perf_counter() - began:.0f} s")
    ours = {"EBBTIDE_DATABASE_URL": url, "EBBTIDE_ARTIFACTS": str(folder / "artefacts"), "EBBTIDE_LOG_LEVEL": "info"}
    ours["EBBTIDE_RATE_LIMIT"] = "none"
    options = ("--workers", str(args.workers), "--threads", str(args.threads))
    with (
        gunicorn("bench.http:empty()", options, {}, folder) as yardstick,
        gunicorn("api.wsgi:build()", options, ours, folder) as server,
        ProcessPoolExecutor(args.clients, mp_context=get_context("spawn")) as pool,
    ):
        plain = [b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"]
        measure(pool, args, yardstick, plain, 1)
        print(
            f"\n{'':<40}{'per second':>11}{'yardstick':>11}{'ratio':>7}{'cpu us':>8}{'ratio':>7}{'p50 ms':>8}{'p99':>7}"
        )
        for name, aim, requests in questions(key, ids, sample):
            measure(pool, args, server, requests[:200], 1)
            found, base = compare(pool, args, (server, requests), (yardstick, plain))
            print(
                f"{name:<40}{found.per_second:>11,.0f}{base.per_second:>11,.0f}"
                f"{found.per_second / base.per_second:>7.2f}{1e6 * found.cpu:>8,.0f}{base.cpu / found.cpu:>7.2f}"
                f"{1000 * found.p50:>8.1f}{1000 * found.p99:>7.1f}  {aim}"
            )
        print()
        print(one_at_a_time("one raw history of 40 contacts", server, [raw_history(key)] * 60, "aim p50 <= 10 ms"))
        writes = [put_account(key, ids[i % len(ids)], i) for i in range(40)]
        print(one_at_a_time("PUT of an account, scored before the answer", server, writes, ""))
        print(ingestion(server, key, args.batches, ids))


def fill(url: str, artefacts: Path, accounts: int) -> tuple[str, list[str], dict[str, Any]]:
    """A store of scored accounts: a simulated base that was scored twice, four weeks apart, and copies of its accounts
    and scores under other ids (not of its contacts). Gives a key, the ids and one account's features."""
    simulated = simulator.simulate(min(accounts, SIMULATED), WEEKS, "default", 1)
    shift = now() - timedelta(hours=1) - simulated.end
    tables = {name: _shifted(frame, shift) for name, frame in simulated.tables.items()}
    history = History.from_frames(tables)
    as_of = now()
    model = full_model(history, as_of, artefacts)
    engine = connect(url)
    migrate(engine)
    for name, frame in tables.items():
        upsert(engine, name, frame)
    for moment in (as_of - EARLIER, as_of):
        scoring.score_store(engine, model, moment, who="bench", clock=lambda: as_of, currency="EUR")
    scored = score_history(model, history, as_of, fresh=True, currency="EUR")
    entries = []
    ids: list[str] = []
    for copy in range(-(-accounts // scored.scores.height)):
        part = _renamed(scored, copy, accounts - len(ids))
        if copy:
            upsert(engine, "accounts", _copied(tables["accounts"], copy).join(part.scores, on="account_id", how="semi"))
            save_scores(engine, scoring.to_store(model, part), scoring.kept(model, part), as_of)
        entries.append(lists.quiet_entries(model, part).select(*ENTRY_SCHEMA).cast(ENTRY_SCHEMA))  # type: ignore[arg-type]
        ids.extend(part.scores["account_id"])
    publish_list(
        engine, lists.KIND, pl.concat(entries), as_of=as_of, model_id=model.model_id, population={}, parameters={},
        created_at=as_of,
    )  # fmt: skip
    _, key = create_key(engine, "bench", ["admin"], as_of)
    engine.dispose()
    return key, ids, scored.features.select(FEATURES.names).row(0, named=True)


def full_model(history: History, as_of: datetime, artefacts: Path) -> ChurnModel:
    """A model with a term for every feature, in service."""
    features = compute(history, as_of, DEFAULT)
    dice = random.Random(1)
    cards = {target: _full_card(target, dice) for target in ("churn", "silent")}
    made = ChurnModel(
        cards["churn"], cards["silent"], HealthParams.for_base(cards["churn"].base), LabelParams(), DEFAULT,
        usual_values(features), "bench", "P2", fingerprints(),
    )  # fmt: skip
    facts = registry.Facts("bench", "P2", dict(made.fingerprints), made.health.p_ref, {})
    model_id = registry.put(artefacts, made.to_plain(), facts, as_of)
    registry.promote(artefacts, model_id, who="bench", when=as_of, why="bench")
    return ChurnModel.from_plain(made.to_plain(), model_id)


def _full_card(target: Any, dice: random.Random) -> Scorecard:
    terms = tuple(_term(feature, dice) for feature in FEATURES)
    known: Target = target
    base = -3.0 if target == "churn" else -3.5
    return Scorecard(known, base, terms, (), [dice.gauss(base, 0.1) for _ in range(REFITS)])


def _term(feature: Feature, dice: random.Random) -> Term:
    basis = feature.basis
    if basis.kind == "category":
        refits = tuple(tuple(dice.gauss(0, 0.1) for _ in range(4)) for _ in range(REFITS))
        return Term(feature.name, "category", (), ("smb", "annual"), (0.1, -0.1), replicates=refits)
    count = len(basis.knots) + (basis.kind == "steps")
    values = tuple(dice.uniform(-0.3, 0.3) for _ in range(count))
    refits = tuple(tuple(dice.gauss(0, 0.1) for _ in range(count + 1)) for _ in range(REFITS))
    return Term(feature.name, basis.kind, basis.knots, (), values, replicates=refits)


def _shifted(frame: pl.DataFrame, shift: timedelta) -> pl.DataFrame:
    return frame.with_columns(pl.col(pl.Datetime) + shift)


def _copied(accounts: pl.DataFrame, copy: int) -> pl.DataFrame:
    """Nobody has a thousand times as many accounts because there are as many copies: owners are copied, too."""
    new = (pl.col("account_id") + f"-{copy}", pl.col("owner") + f"-{copy}", pl.lit(None, pl.String).alias("parent_id"))
    return accounts.with_columns(*new)


def _renamed(scored: Scored, copy: int, most: int) -> Scored:
    if not copy:
        return Scored(scored.scores.head(most), scored.features.head(most))
    new = pl.col("account_id") + f"-{copy}"
    return Scored(scored.scores.head(most).with_columns(new), scored.features.head(most).with_columns(new))


def questions(key: str, ids: list[str], features: dict[str, Any]) -> Iterator[tuple[str, str, list[bytes]]]:
    """Name, aim and requests of each figure; accounts are asked for at random, so no answer is found ready."""
    dice = random.Random(2)
    one = {"items": [{"features": features}]}
    yield "POST /v1/scores, one account by features", ">= 0.6", [_request("POST", "/v1/scores", key, one)]
    bare = one | {"reasons": "none"}
    yield "the same without reasons", "", [_request("POST", "/v1/scores", key, bare)]
    asked = [_request("GET", f"/v1/accounts/{i}/health", key) for i in dice.choices(ids, k=5_000)]
    yield "GET health, all reasons", ">= 0.5", asked
    for limit in (10, 50):
        address = f"/v1/risk-lists/silent?limit={limit}"
        yield f"GET list page, {limit} entries", ">= 0.5", [_request("GET", address, key)]
        # Filters nobody asked for before: no page is found written.
        asked = [_request("GET", f"{address}&min_mrr={dice.random():.9f}", key) for _ in range(20_000)]
        yield "the same, never the same page twice", ">= 0.5", asked


def raw_history(key: str) -> bytes:
    """One account with forty contacts in a year."""
    dice, present = random.Random(3), datetime.now(UTC)
    contacts = []
    for n in range(40):
        opened = present - timedelta(days=dice.uniform(1, 360))
        contacts.append(
            {
                "interaction_id": f"i{n}",
                "opened_at": opened.isoformat(),
                "category": dice.choice(["billing", "login"]),
                "kind": "problem",
                "resolved_at": (opened + timedelta(hours=5)).isoformat(),
                "outcome": "resolved",
            }
        )
    account = {"account_id": "x", "mrr": 100.0, "started_at": (present - timedelta(days=600)).isoformat()}
    return _request("POST", "/v1/scores", key, {"items": [{"account": account, "interactions": contacts}]})


def put_account(key: str, account_id: str, n: int) -> bytes:
    """An account whose revenue changed."""
    body = {"segment": "smb", "mrr": 100.0 + n, "started_at": "2025-01-01T00:00:00Z"}
    body["updated_at"] = datetime.now(UTC).isoformat()
    return _request("PUT", f"/v1/accounts/{account_id}", key, body)


def ingestion(server: Server, key: str, batches: int, ids: list[str]) -> str:
    """Interactions per second, in batches of 10,000 from one connection after the other."""
    dice, present = random.Random(4), datetime.now(UTC)
    requests = []
    for batch in range(batches):
        items = [_interaction(dice, present, ids, f"b{batch}-{n}") for n in range(10_000)]
        requests.append(_request("POST", "/v1/interactions", key, {"items": items}))
    began, spent = time.perf_counter(), server.cpu()
    times = ask_in_turn(server.port, requests)
    took, spent = time.perf_counter() - began, server.cpu() - spent
    return (
        f"ingestion: {batches} batches of 10,000 interactions, {10_000 * batches / took:,.0f} per second "
        f"(p50 {1000 * statistics.median(times):.0f} ms a batch, {1000 * spent / batches:.0f} ms processor time)   "
        "aim >= 20,000"
    )


def _interaction(dice: random.Random, present: datetime, ids: list[str], name: str) -> dict[str, Any]:
    opened = present - timedelta(days=dice.uniform(0, 300))
    return {
        "interaction_id": name,
        "account_id": dice.choice(ids),
        "channel": "email",
        "category": "billing",
        "kind": "problem",
        "opened_at": opened.isoformat(),
        "first_response_at": (opened + timedelta(hours=1)).isoformat(),
        "resolved_at": (opened + timedelta(hours=9)).isoformat(),
        "outcome": "resolved",
        "reopens": 0,
        "transfers": 1,
        "updated_at": (opened + timedelta(hours=9)).isoformat(),
    }


def one_at_a_time(name: str, server: Server, requests: Sequence[bytes], aim: str) -> str:
    """Latency of requests that follow each other."""
    ask_in_turn(server.port, requests[:5])
    spent = server.cpu()
    times = sorted(ask_in_turn(server.port, requests))
    cpu = 1000 * (server.cpu() - spent) / len(requests)
    p50, p90 = 1000 * statistics.median(times), 1000 * times[int(len(times) * 0.9)]
    return f"{name}: p50 {p50:.1f} ms, p90 {p90:.1f} ms, {cpu:.1f} ms of processor time   {aim}"


def _request(method: str, address: str, key: str, body: Any = None) -> bytes:
    content = b"" if body is None else json.dumps(body).encode()
    head = f"{method} {address} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\r\n"
    if body is not None:
        head += f"Content-Type: application/json\r\nContent-Length: {len(content)}\r\n"
    return f"{head}\r\n".encode() + content


if __name__ == "__main__":
    main()
