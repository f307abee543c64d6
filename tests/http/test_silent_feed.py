"""A contact feed that dies is told as such: nobody turns red for it, confidence falls, lists and alarms say so."""

from collections import Counter
from datetime import timedelta

import polars as pl
import pytest
import sqlalchemy as sa

from api.commands import _as_everybody, _export_end
from models.loading import load_model
from models.rhythm import hour_of
from models.store.portfolio import contacts_end, contacts_quiet
from models.store.scoring import score_store
from models.store.sources import ALL, look, note
from models.store.tables import source_hours
from models.store.upsert import upsert
from tests.http.cast import NOW, day
from tests.http.conftest import serve
from tests.webhooks.cast import outbox, subscribe

DIED = 20
MINUTE = timedelta(minutes=1)


def base(until: float) -> dict[str, pl.DataFrame]:
    """Sixty accounts that ask something every week or so, up to so many days ago."""
    who = [f"c{i:02d}" for i in range(60)]
    accounts = pl.DataFrame({"account_id": who}).with_columns(
        segment=pl.lit("smb"),
        billing=pl.lit("annual"),
        mrr=pl.lit(500.0),
        started_at=pl.lit(day(500)),
        renewal_at=pl.lit(day(-60)),
    )
    contacts = [
        {
            "interaction_id": f"{name}-{n}",
            "account_id": name,
            "kind": "question",
            "opened_at": (opened := day(age)),
            "resolved_at": opened + timedelta(hours=3),
            "outcome": "resolved",
        }
        for i, name in enumerate(who)
        for n in range(60)
        if (age := 0.1 + i / 60 * 7 + n * 7) > until
    ]
    return {"accounts": accounts, "interactions": pl.DataFrame(contacts)}


def bands(served) -> dict[str, str]:
    found = {name: served.get(f"/v1/accounts/{name}/health").json for name in (f"c{i:02d}" for i in range(60))}
    return {name: health["band"] for name, health in found.items()}


def run(served, as_of, **more):
    made, _ = load_model(served.artefacts, served.model_id)
    return score_store(served.engine, made, as_of, who="test", clock=served.app.extensions["ebbtide"].clock, **more)


@pytest.fixture
def dead(store, model_store):
    """The feed died `DIED` days ago; the last run was on that day."""
    found = serve(store, *model_store)
    for table, rows in base(until=DIED).items():
        upsert(store, table, rows)
    run(found, day(DIED))
    yield found
    found.app.extensions["ebbtide"].store.close()


def test_it_would_colour_the_portfolio_red(dead):
    """What is prevented: scored as of now, silence of the feed is taken for silence of customers."""
    before = bands(dead)
    run(dead, NOW)
    worse = [name for name, band in bands(dead).items() if (before[name], band) == ("watch", "at_risk")]
    assert len(worse) > 20


def test_nobody_turns_red_and_everything_says_why(dead):
    engine = dead.engine
    before = bands(dead)
    was = dead.get("/v1/accounts/c07/health").json
    subscribe(engine, "https://example.com/")
    found = contacts_quiet(engine, NOW)
    assert found is not None
    since = found.since
    assert day(DIED + 1) < since <= day(DIED)
    look(engine, NOW)
    look(engine, NOW + MINUTE)
    [alarm] = outbox(engine)
    assert (alarm.type, alarm.data["source"], alarm.data["table"]) == ("source.quiet", ALL, "interactions")

    run(dead, since + timedelta(microseconds=1), quiet_since=since)
    assert bands(dead) == before
    health = dead.get("/v1/accounts/c07/health").json
    assert (was["confidence"], health["confidence"]) == ("A", "B")
    assert "not up to date" in health["confidence_reason"]
    said = since.isoformat().replace("+00:00", "Z")
    assert (health["data"]["contacts_up_to_date"], health["data"]["contacts_quiet_since"]) == (False, said)
    head = dead.get("/v1/risk-lists/silent").json["list"]
    assert head["contacts_quiet_since"] == said
    assert head["as_of"] < day(DIED - 1).isoformat()
    young = pl.DataFrame([{"account_id": "new", "started_at": day(5), "segment": "smb"}])
    upsert(engine, "accounts", young)
    asked = dead.get("/v1/accounts/new/health")
    assert (asked.status_code, asked.json["code"]) == (409, "not_scored_yet")
    asked = dead.post("/v1/accounts/new/what-if", {"levers": ["close_escalation"]})
    assert (asked.status_code, asked.json["code"]) == (409, "account_not_started")
    issued = dead.post("/v1/risk-lists", {"capacity": 5}).json["list"]
    assert issued["parameters"]["contacts_quiet_since"] == said
    fresh = dead.get("/v1/freshness?account_id=c07").json
    assert fresh["contacts_quiet_since"] == said
    contacts = fresh["feeds"][0]
    assert contacts["table"] == "interactions"
    assert contacts["observed_days"] == pytest.approx(90 - DIED, abs=1)
    assert len(contacts["blind"]) == 1
    assert fresh["account"]["observed_days"]["interactions"] == contacts["observed_days"]


def test_what_arrives_meanwhile_turns_nobody_red_either(dead):
    before = bands(dead)
    surveys = [
        {"survey_id": f"s{i}", "account_id": f"c{i:02d}", "instrument": "csat", "sent_at": day(1).isoformat()}
        for i in range(60)
    ]
    answer = dead.post("/v1/surveys", {"items": surveys}).json
    assert (answer["created"], answer["rescored"]) == (60, 60)
    assert bands(dead) == before
    asked = dead.post("/v1/scores", {"items": [{"id": name, "account_id": name} for name in before]}).json["results"]
    assert {item["id"]: item["score"]["band"] for item in asked} == before
    for name in sorted(before)[::6]:
        if_done = dead.post(f"/v1/accounts/{name}/what-if", {"levers": ["close_escalation"]}).json
        assert if_done["now"]["band"] == before[name]
    # somebody who gives notice is no customer to be scored, feed or no feed
    dead.put("/v1/accounts/c05", {"started_at": day(500).isoformat(), "notice_at": day(2).isoformat()})
    assert dead.get("/v1/accounts/c05/health").json["code"] == "account_leaving"


def test_when_it_is_back_all_is_as_if_it_had_never_been_away(dead, model_store, databases):
    engine = dead.engine
    subscribe(engine, "https://example.com/")
    look(engine, NOW)
    assert dead.get("/v1/accounts/c07/health").json["data"]["contacts_up_to_date"] is False
    late = base(until=0)["interactions"]
    late = late.filter(pl.col("opened_at") > day(DIED))
    items = [
        {k: v.isoformat() if hasattr(v, "isoformat") else v for k, v in row.items()}
        for row in late.iter_rows(named=True)
    ]
    assert dead.post("/v1/interactions", {"items": items}).json["created"] == late.height
    look(engine, NOW)
    assert [event.type for event in outbox(engine) if event.type.startswith("source")] == [
        "source.quiet",
        "source.back",
    ]
    assert dead.get("/v1/accounts/c07/health").json["data"]["contacts_quiet_since"] is None
    run(dead, NOW)
    with databases.open("sqlite") as other:
        for table, rows in base(until=0).items():
            upsert(other, table, rows)
        always = serve(other, *model_store)
        run(always, NOW)
        assert Counter(bands(always).values()) == Counter(bands(dead).values())
        always.app.extensions["ebbtide"].store.close()


def test_sources_are_known_by_who_tells(dead):
    item = {"interaction_id": "x", "account_id": "c01", "opened_at": NOW.isoformat()}
    dead.post("/v1/interactions", {"items": [item]}, "writer")
    found = dead.get("/v1/freshness").json["sources"]
    assert [(one["source"], one["table"], one["happened_until"]) for one in found] == [
        ("api: writer", "interactions", "2026-06-01T12:00:00Z")
    ]


def test_an_export_that_was_read_once_is_no_feed_that_died(dead):
    engine = dead.engine
    note(engine, "contract", "interactions", 3_000, NOW)
    subscribe(engine, "https://example.com/")
    look(engine, NOW)
    assert outbox(engine) == []
    note(engine, "contract", "interactions", 10, NOW + timedelta(days=8))
    look(engine, NOW + timedelta(days=8))
    assert [event.type for event in outbox(engine)] == ["source.quiet"]


def test_a_watch_of_an_export_is_as_of_its_end_and_of_a_feed_as_of_now(dead):
    engine, later = dead.engine, NOW + timedelta(days=8)
    note(engine, "contract", "interactions", 3_000, NOW)
    end = contacts_end(engine, later)
    assert end is not None
    assert contacts_quiet(engine, later) is None
    assert _export_end(engine, later) == end.since + timedelta(microseconds=1)
    note(engine, "contract", "interactions", 10, later)
    assert _export_end(engine, later) == later


def test_an_export_that_was_read_once_is_told_as_quiet_nowhere(dead, monkeypatch):
    engine = dead.engine
    note(engine, "contract", "interactions", 3_000, NOW)
    end = contacts_end(engine, NOW)
    assert end is not None
    monkeypatch.setattr("api.commands.now", lambda: NOW)
    as_of, told_until = _as_everybody(engine)
    assert (as_of, told_until) == (end.since + timedelta(microseconds=1), {"ended_at": end.since})
    before = bands(dead)
    run(dead, as_of, **told_until)
    listed = dead.get("/v1/accounts/c07/health").json
    head = dead.get("/v1/risk-lists/silent").json["list"]
    assert (head["contacts_quiet_since"], listed["data"]["contacts_quiet_since"]) == (None, None)
    assert dead.get("/v1/freshness").json["contacts_quiet_since"] is None
    assert dead.post("/v1/risk-lists", {"capacity": 5}).json["list"]["contacts_quiet_since"] is None
    # scored alone, on arrival and on demand, it is what the run said: the same moment, band and confidence
    asked = dead.post("/v1/scores", {"items": [{"id": name, "account_id": name} for name in before]}).json["results"]
    assert {item["id"]: item["score"]["band"] for item in asked} == bands(dead) == before
    answer = {"survey_id": "s", "account_id": "c07", "instrument": "csat", "sent_at": day(1).isoformat()}
    assert dead.post("/v1/surveys", {"items": [answer]}).json["rescored"] == 1
    alone = dead.get("/v1/accounts/c07/health").json
    same = ("as_of", "confidence", "p_churn", "p_silent", "band")
    assert {name: alone[name] for name in same} == {name: listed[name] for name in same}
    assert alone["confidence"] == "A"
    assert dead.post("/v1/accounts/c07/what-if", {"levers": ["close_escalation"]}).json["as_of"] == alone["as_of"]
    # whoever gives notice is no customer to be scored all the same
    dead.put("/v1/accounts/c05", {"started_at": day(500).isoformat(), "notice_at": day(2).isoformat()})
    assert dead.get("/v1/accounts/c05/health").json["code"] == "account_leaving"


def test_a_feed_that_died_is_the_same_for_the_command_as_for_the_service(dead, monkeypatch):
    engine = dead.engine
    for ago in (DIED + 30, DIED):
        note(engine, "api: crm", "interactions", 3_000, day(ago))
    monkeypatch.setattr("api.commands.now", lambda: NOW + timedelta(days=30))
    as_of, told_until = _as_everybody(engine)
    quiet = contacts_quiet(engine, NOW)
    assert quiet is not None
    # though the last thing known is long ago: it is told as quiet all the same
    assert (as_of, told_until) == (quiet.since + timedelta(microseconds=1), {"quiet_since": quiet.since})


def test_when_it_is_back_and_what_it_missed_never_comes_nobody_turns_red_either(dead):
    engine, before = dead.engine, bands(dead)
    lost = base(until=0)["interactions"].filter(pl.col("opened_at") > day(3))
    upsert(engine, "interactions", lost.filter(pl.col("opened_at") < day(2.5)))
    run(dead, day(2.5))  # an hour after its return
    assert bands(dead) == before
    upsert(engine, "interactions", lost)
    dead.app.extensions["ebbtide"].freshness.contacts_arrived()
    assert contacts_end(engine, NOW) is None
    run(dead, NOW)
    assert bands(dead) == before
    health = dead.get("/v1/accounts/c07/health").json
    assert (health["confidence"], health["data"]["contacts_quiet_since"]) == ("B", None)
    assert "was down" in health["confidence_reason"]
    # on demand, on arrival and looked back at, it is what the run said
    [asked] = dead.post("/v1/scores", {"items": [{"account_id": "c07"}]}).json["results"]
    then = dead.get(f"/v1/accounts/c07/health?as_of={NOW.isoformat().replace('+00:00', 'Z')}").json
    if_done = dead.post("/v1/accounts/c07/what-if", {"levers": ["close_escalation"]}).json
    assert [one["health"] for one in (asked["score"], then, if_done["now"])] == [health["health"]] * 3
    # and what the hole is no reason for is no correction of rows either
    began = {"from": (NOW - timedelta(days=2.5)).isoformat().replace("+00:00", "Z")}
    moved = dead.get("/v1/accounts/c07/changes", query_string=began).json
    whole = dead.get("/v1/portfolio/changes", query_string=began).json
    for told in (moved, whole):
        parts = {part["part"]: part for part in told["parts"]}
        assert parts["corrected"]["log_odds"] == pytest.approx(0, abs=1e-12), parts["corrected"]
        assert sum(part["log_odds"] for part in told["parts"]) == pytest.approx(told["log_odds"], abs=1e-9)


def test_one_of_two_feeds_that_dies_and_comes_back_turns_nobody_red(dead):
    """Each tells of half of the accounts; that of the even ones misses three weeks. The store holds both's contacts
    until then; the other one's of these weeks arrive here."""
    engine, mine = dead.engine, pl.col("account_id").str.slice(1).cast(pl.Int64) % 2 == 0
    before = bands(dead)
    subscribe(engine, "https://example.com/")
    contacts = base(until=0)["interactions"]
    told = contacts.filter(~mine | ~pl.col("opened_at").is_between(day(DIED), day(1)))
    upsert(engine, "interactions", told.filter(~mine))
    _tell(engine, "intercom", told.filter(~mine))
    _tell(engine, "zendesk", told.filter(mine, pl.col("opened_at") < day(DIED)))
    look(engine, day(2))
    quiet = contacts_quiet(engine, day(2))
    assert quiet is not None
    assert day(DIED + 4) < quiet.since <= day(DIED)
    assert [event.data["source"] for event in outbox(engine)] == ["zendesk"]
    run(dead, quiet.since + MINUTE / 60, quiet_since=quiet.since)
    assert bands(dead) == before
    # it is back, and what it missed is lost
    upsert(engine, "interactions", told.filter(mine))
    _tell(engine, "zendesk", told.filter(mine, pl.col("opened_at") > day(1)))
    assert contacts_quiet(engine, NOW) is None
    run(dead, NOW)
    assert bands(dead) == before


def _tell(engine, source, rows):
    """A source told these contacts, each as it was opened; and the same again an hour later, which is no sign of
    life."""
    hours = Counter(hour_of(at) for at in rows["opened_at"].sort())
    with engine.begin() as conn:
        told = [{"source": source, "table_name": "interactions", "hour": hour, "rows": n} for hour, n in hours.items()]
        conn.execute(sa.insert(source_hours), told[1:-1])
    first, last = rows["opened_at"].min(), rows["opened_at"].max()
    for at, n in ((first, told[0]["rows"]), (last, told[-1]["rows"])):
        note(engine, source, "interactions", n, at, at)
    note(engine, source, "interactions", 0, last + timedelta(hours=1))


def test_a_file_that_is_read_every_night_and_never_changes_is_silence(dead):
    engine = dead.engine
    subscribe(engine, "https://example.com/")
    for night in range(40, 0, -1):
        note(engine, "zendesk", "interactions", 80 if night > DIED else 0, day(night))
    look(engine, NOW)
    [alarm] = [event for event in outbox(engine) if event.data["source"] == "zendesk"]
    assert alarm.type == "source.quiet"
    [line] = [one for one in dead.get("/v1/freshness").json["sources"] if one["source"] == "zendesk"]
    assert line["last_seen"] == day(1).isoformat().replace("+00:00", "Z")
    assert line["quiet_since"] < day(DIED - 1).isoformat()
    note(engine, "zendesk", "interactions", 0, NOW)
    look(engine, NOW)
    assert contacts_quiet(engine, NOW) is not None
    note(engine, "zendesk", "interactions", 1_700, NOW)
    assert [event.type for event in outbox(engine) if event.data["source"] == "zendesk"] == [
        "source.quiet",
        "source.back",
    ]
