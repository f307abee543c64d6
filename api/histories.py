"""Raw histories of a scoring request: checked like an import, computed together, scored like everybody else.

The items of a request become one history in which item 3's rows belong to account "3", so two items may speak of
the same account, or use the same ids, without touching each other.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import polars as pl

from api import payloads
from api.bodies import escape, instant
from api.checking import check_rows
from api.errors import Problem
from api.health import CODES
from api.items import Item, Wanted
from api.service import Service
from api.serving import Served
from models.history import TABLES, History
from models.imports.times import EARLIEST
from models.scoring import Scored, score_history
from models.standing import standings
from models.store.access import REASONS
from models.store.scoring import to_store

#: Distinct moments in one request; each costs a computation of its own.
MOST_MOMENTS = 20
#: Rows of all raw histories of one request together.
MOST_ROWS = 200_000

#: Member of an item -> table, and the columns whose ids must not meet those of other items.
_LISTS = ("interactions", "surveys", "contracts", "outreach", "measures")
_OWN_IDS = {
    "interactions": ("interaction_id", "issue_id"),
    "surveys": ("survey_id", "interaction_id"),
    "outreach": ("outreach_id",),
}


@dataclass(frozen=True)
class _Place:
    """Where a row of the common history came from; `row` is None for the account itself."""

    item: Item
    row: int | None


def score(service: Service, served: Served, items: Sequence[Item], wanted: Wanted) -> None:
    """Score items given as raw history; those of one moment are computed together."""
    moments = _moments(items, service.clock())
    good = [item for item in items if _check_shape(item)]
    frames = {name: _frame(name, good) for name in ("accounts", *_LISTS)}
    _check_coverage(frames["accounts"], good, wanted)
    known = History.from_frames(frames, observed_from={"interactions": wanted.observed_from or EARLIEST})
    for moment in sorted(set(moments.values())):
        group = [item for item in good if not item.errors and moments[item.index] == moment]
        if group:
            _score_at(service, served, known, moment, group, wanted)


def lines(served: Served, scored: Scored, wanted: Wanted) -> dict[str, tuple[dict[str, Any], str | None]]:
    """Account id -> its score and its reasons (JSON), of accounts scored from a history."""
    if scored.scores.is_empty():
        return {}
    model = served.model
    rows = scored.features.select(*model.columns.names, *model.columns.quoted).to_dicts()
    target = wanted.target
    found: dict[str, tuple[dict[str, Any], str | None]] = {}
    for row, values in zip(rows, to_store(model, scored).to_dicts(), strict=True):
        told = None
        if wanted.reasons != "none":
            contributions, log_odds = served.rows.contributions(target, row), values[f"log_odds_{target}"]
            told = payloads.explanation(served, target, contributions, log_odds, row, wanted.reasons)
        found[values["account_id"]] = (payloads.score_line(values) | payloads.horizon(model), told)
    return found


def _moments(items: Sequence[Item], now: datetime) -> dict[int, datetime]:
    """Item -> its as_of. Raises `Problem` for too many different ones."""
    found: dict[int, datetime] = {}
    for item in items:
        given = item.body.get("as_of")
        moment, reason = (now, "") if given is None else instant(given)
        if moment is None:
            item.refuse("/as_of", "invalid", reason)
        else:
            found[item.index] = moment
    if len(set(found.values())) > MOST_MOMENTS:
        raise Problem(
            422, "too_many_moments", f"The items name more than {MOST_MOMENTS} different as_of; send them in parts."
        )
    return found


def _check_shape(item: Item) -> bool:
    if type(item.body["account"]) is not dict:
        item.refuse("/account", "invalid", "must be an object")
    for name in _LISTS:
        if type(_rows(name, item)) is not list:
            item.refuse(f"/{name}", "invalid", "must be a list")
    return not item.errors


def _frame(name: str, items: Sequence[Item]) -> pl.DataFrame:
    """The good rows of one table, of all items; the faults of the others go to their items."""
    table = TABLES[name]
    places = _places(name, items)
    if not places:
        return table.empty()
    if len(places) > MOST_ROWS:
        raise Problem(413, "too_many_rows", f"The histories hold more than {MOST_ROWS:,} {name}; send them in parts.")
    rows = [_row(name, place) for place in places]
    checked = check_rows(table, rows)
    for fault in checked.faults:
        place = places[fault.row]
        at = "/account" if place.row is None else f"/{name}/{place.row}"
        place.item.refuse(f"{at}/{escape(fault.column)}" if fault.column else at, fault.code, fault.message)
    owners = pl.Series([str(places[number].item.index) for number in checked.numbers], dtype=pl.String)
    own = _OWN_IDS.get(name, ())
    return checked.frame.with_columns(owners.alias("account_id")).with_columns(
        pl.concat_str("account_id", pl.lit("\x1f"), column).alias(column) for column in own
    )


def _places(name: str, items: Sequence[Item]) -> list[_Place]:
    if name == "accounts":
        return [_Place(item, None) for item in items]
    return [_Place(item, row) for item in items for row in range(len(_rows(name, item)))]


def _rows(name: str, item: Item) -> Any:
    given = item.body.get(name)
    return [] if given is None else given


def _row(name: str, place: _Place) -> Any:
    """The row as sent, with the account it goes without saying."""
    account = place.item.body["account"]
    row = account if place.row is None else place.item.body[name][place.row]
    if type(row) is not dict:
        return row
    own = account.get("account_id")
    stated = row.get("account_id")
    if stated is not None and own is not None and stated != own:
        at = f"/{name}/{place.row}/account_id"
        place.item.refuse(at, "invalid", "is another account than the item's")
    return row if stated is not None else {**row, "account_id": "-"}


def _check_coverage(accounts: pl.DataFrame, items: Sequence[Item], wanted: Wanted) -> None:
    """How long an account has been watched must be known: silence since when?"""
    if wanted.observed_from is not None:
        return
    undated = set(accounts.filter(pl.col("started_at").is_null())["account_id"])
    for item in items:
        if str(item.index) in undated:
            item.refuse(
                "/account/started_at",
                "required",
                "is required, unless the request says by observed_from since when contacts are recorded",
            )


def _score_at(
    service: Service, served: Served, known: History, moment: datetime, group: Sequence[Item], wanted: Wanted
) -> None:
    ids = [str(item.index) for item in group]
    scored = score_history(
        served.model, known, moment, fresh=True, margin=service.settings.margin,
        currency=service.settings.currency, account_ids=ids,
    )  # fmt: skip
    found = lines(served, scored, wanted)
    for item in group:
        if str(item.index) in found:
            score, item.explanation = found[str(item.index)]
            item.score = score | {"account_id": item.body["account"].get("account_id")}
    others = [item for item in group if item.score is None]
    if others:
        _say_why(known.of([str(item.index) for item in others]), moment, served, others)


def _say_why(known: History, moment: datetime, served: Served, items: Sequence[Item]) -> None:
    """Refuse items whose account gets no score, each with its reason."""
    standing = dict(standings(known, [moment], served.model.label).select("account_id", "standing").iter_rows())
    for item in items:
        why = standing[str(item.index)]
        item.refuse("/account", CODES[why], f"The account has no score: it {REASONS[why]}.")
