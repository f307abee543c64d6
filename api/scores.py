"""Scores on demand: of features, of a raw history, or of a stored account as of now."""

import difflib
from collections.abc import Callable, Sequence
from datetime import datetime
from math import isfinite
from typing import Any

from flask import Response

from api import histories, payloads
from api import score_schemas as schemas
from api.auth import needs, the_key
from api.bodies import answer_text, encode, escape, instant, items_of, json_body, with_member
from api.contract import Resource, operation
from api.errors import MOST_ERRORS, FieldError, Problem
from api.health import CODES, target_in
from api.items import Item, Wanted
from api.service import Service, the_service
from api.serving import Served
from models import tables
from models.errors import TableModel
from models.imports.convert import ID_LENGTH
from models.schema import Schema
from models.store.access import NotScoredBecause

resource = Resource("scores", "Scores on demand")

MOST_ITEMS = 1_000
REASONS = ("top", "all", "none")
MEMBERS = ("items", "reasons", "target", "observed_from")
#: Member that says what an item is -> what else it may have.
KINDS: dict[str, tuple[str, ...]] = {
    "features": ("as_of",),
    "account_id": (),
    "account": ("interactions", "surveys", "contracts", "outreach", "measures", "as_of"),
}


@resource.route("/v1/scores", methods=["POST"])
@needs("score", restricted="narrowed")
@operation(
    gives={200: (schemas.ScoreAnswer, "Every item was scored"), 207: (schemas.ScoreAnswer, "Some items were rejected")},
    refuses=("too_many_items", "too_many_rows", "too_many_moments", "model_reads_table", "model_unavailable"),
    takes=schemas.ScoreRequest,
    scope="score",
)
def post_scores() -> Response:
    """Score up to 1,000 items; nothing is stored."""
    service = the_service()
    body = json_body()
    items = [_item(index, item) for index, item in enumerate(items_of(body, MOST_ITEMS, MEMBERS))]
    wanted = _wanted(body)
    served = service.serving.current()
    served.model.card(wanted.target)
    by_kind: dict[str, list[Item]] = {kind: [] for kind in KINDS}
    for item in items:
        kind = _kind(item)
        if kind is not None:
            by_kind[kind].append(item)
    for kind, score in (TABLE_SCORERS if served.model.of_table else SCORERS).items():
        if by_kind[kind]:
            score(service, served, by_kind[kind], wanted)
            service.metrics.scored.labels(kind).inc(len(by_kind[kind]))
    return _answer(items, served)


def _wanted(body: dict[str, Any]) -> Wanted:
    reasons = body.get("reasons", "top")
    if reasons not in REASONS:
        error = FieldError("/reasons", "invalid", f"is one of {', '.join(REASONS)}")
        raise Problem(422, "invalid_body", "The body does not fit; see errors.", [error])
    target = target_in(body.get("target", "churn"), "/target")
    return Wanted(str(reasons), target, _observed_from(body.get("observed_from")))


def _observed_from(given: Any) -> datetime | None:
    if given is None:
        return None
    moment, reason = instant(given)
    if moment is None:
        raise Problem(
            422, "invalid_body", "The body does not fit; see errors.", [FieldError("/observed_from", "invalid", reason)]
        )
    return moment


def _answer(items: Sequence[Item], served: Served) -> Response:
    rejected = sum(bool(item.errors) for item in items)
    errors = [error.to_plain() for item in items for error in item.errors][:MOST_ERRORS]
    counts = {"scored": len(items) - rejected, "rejected": rejected}
    head = {"model": payloads.model_line(served), **counts, "errors": errors}
    lines = f"[{','.join(item.to_json() for item in items)}]"
    return answer_text(with_member(encode(head), "results", lines), 207 if rejected else 200)


def _item(index: int, given: Any) -> Item:
    if isinstance(given, dict):
        return Item(index, given)
    item = Item(index, {})
    item.refuse("", "invalid", "must be an object")
    return item


def _kind(item: Item) -> str | None:
    """What the item is; None where it is refused."""
    if item.errors:
        return None
    found = [kind for kind in KINDS if kind in item.body]
    if len(found) != 1:
        item.refuse("", "invalid", f"needs exactly one of {', '.join(KINDS)}")
        return None
    for name in item.body:
        if name not in ("id", found[0], *KINDS[found[0]]):
            item.refuse(f"/{escape(name)}", "unknown_field", f"is not known beside {found[0]}")
    given = item.body.get("id")
    if given is not None and (not isinstance(given, str) or len(given) > ID_LENGTH):
        item.refuse("/id", "invalid", f"must be text of at most {ID_LENGTH} characters")
    return None if item.errors else found[0]


def _score_features(_service: Service, served: Served, items: Sequence[Item], wanted: Wanted) -> None:
    """Score items given as features by name."""
    schema = served.model.columns
    good = [item for item in items if _check_features(item, schema)]
    _score_rows(served, good, [item.body["features"] for item in good], wanted)


def _score_rows(served: Served, good: Sequence[Item], rows: Sequence[dict[str, Any]], wanted: Wanted) -> None:
    if not good:
        return
    for item, row, score in zip(good, rows, served.rows.score(rows), strict=True):
        item.score = payloads.row_score(score, served.model)
        if wanted.reasons != "none":
            target = wanted.target
            item.explanation = payloads.explanation(
                served, target, score.contributions[target], score.log_odds[target], row, wanted.reasons
            )


def _check_features(item: Item, schema: Schema) -> bool:
    features = item.body["features"]
    if type(features) is not dict:
        item.refuse("/features", "invalid", "must be an object of feature name and value")
        return False
    if "as_of" in item.body:
        item.refuse("/as_of", "unknown_field", "is not known beside features: they are as of when they were computed")
    numbers, texts = schema.numbers, schema.texts
    for name, value in features.items():
        if name in numbers and type(value) is float and isfinite(value):
            continue
        if name not in schema:
            item.refuse(f"/features/{escape(name)}", "unknown_feature", _hint(name, schema))
        elif value is None:
            continue
        elif name in texts:
            if type(value) is not str:
                item.refuse(f"/features/{escape(name)}", "invalid", "must be text")
        elif type(value) not in (int, float) or not _finite(value):
            item.refuse(f"/features/{escape(name)}", "invalid", "must be a finite number")
    return not item.errors


def _score_table_rows(service: Service, served: Served, items: Sequence[Item], wanted: Wanted) -> None:
    """Score items given as rows of the table that the model reads."""
    rows = [(item, _table_row(item, served.model.columns, service.clock())) for item in items]
    good = [(item, row) for item, row in rows if row is not None]
    _score_rows(served, [item for item, _ in good], [row for _, row in good], wanted)


def _table_row(item: Item, schema: Schema, now: datetime) -> dict[str, Any] | None:
    """The row as the model reads it; None where it is refused."""
    given, told = item.body["features"], item.body.get("as_of")
    if type(given) is not dict:
        item.refuse("/features", "invalid", "must be an object of column name and value")
        return None
    moment, reason = (now, "") if told is None else instant(told)
    if moment is None:
        item.refuse("/as_of", "invalid", reason)
    for name in given:
        if name not in schema:
            item.refuse(f"/features/{escape(name)}", "unknown_feature", _table_hint(name, schema))
    known = {name: value for name, value in given.items() if name in schema}
    row, wrong = tables.read_row(schema, known, moment or now)
    for column, code, message in wrong:
        item.refuse(f"/features/{escape(column)}", code, message)
    return None if item.errors else row


def _table_hint(name: str, schema: Schema) -> str:
    if name == schema.moment:
        return "says as of when the row is; give it as as_of beside features"
    if name == schema.identity:
        return "says whose row it is; give it as id beside features"
    return _hint(name, schema)


def _refuse_histories(_service: Service, served: Served, items: Sequence[Item], _wanted: Wanted) -> None:
    """A model of a table cannot answer about accounts."""
    try:
        served.model.require_history()
    except TableModel as error:
        for item in items:
            item.refuse("", "model_reads_table", str(error))


def _finite(value: float) -> bool:
    try:
        return isfinite(value)
    except OverflowError:
        return False


def _hint(name: str, schema: Schema) -> str:
    close = difflib.get_close_matches(name, schema.names, n=1)
    return f"is not a feature; did you mean {close[0]}?" if close else "is not a feature; GET /v1/model lists them"


def _score_stored(service: Service, served: Served, items: Sequence[Item], wanted: Wanted) -> None:
    """Score stored accounts as of now."""
    good = [item for item in items if _may_read(item) and _check_id(item)]
    if not good:
        return
    settings, now = service.settings, service.clock()
    ids = sorted({item.body["account_id"] for item in good})
    book = the_key().book
    if book.restricted:
        ids = sorted(service.store.held(book, ids))
    options = {"margin": settings.margin, "currency": settings.currency}
    asked = service.store.score_now(served.model, ids, now, **service.freshness.told_until(), **options)
    lines = histories.lines(served, asked.scored, wanted)
    others = [item for item in good if item.body["account_id"] not in lines]
    for item in good:
        if item.body["account_id"] in lines:
            item.score, item.explanation = lines[item.body["account_id"]]
    if others:
        _say_why(asked.standings(now, served.model), others)


def _say_why(standings: dict[str, str], items: Sequence[Item]) -> None:
    """Refuse items whose account gets no score, each with its reason."""
    for item in items:
        account_id = item.body["account_id"]
        if account_id in standings:
            why = NotScoredBecause(account_id, standings[account_id])
            item.refuse("/account_id", CODES[why.standing], str(why))
        else:
            item.refuse("/account_id", "unknown_account", f"There is no account {account_id!r}.")


def _may_read(item: Item) -> bool:
    """Whether the caller may read what is stored; `score` alone is for those who send everything along."""
    if the_key().allows("read"):
        return True
    item.refuse("/account_id", "forbidden", "is stored here: the key lacks the scope 'read'")
    return False


def _check_id(item: Item) -> bool:
    given = item.body["account_id"]
    if isinstance(given, str) and 0 < len(given) <= ID_LENGTH and "\0" not in given:
        return True
    item.refuse("/account_id", "invalid", f"must be text of 1 to {ID_LENGTH} characters")
    return False


SCORERS: dict[str, Callable[[Service, Served, Sequence[Item], Wanted], None]] = {
    "features": _score_features,
    "account_id": _score_stored,
    "account": histories.score,
}
#: The same while a model of a table is in service.
TABLE_SCORERS: dict[str, Callable[[Service, Served, Sequence[Item], Wanted], None]] = {
    "features": _score_table_rows,
    "account_id": _refuse_histories,
    "account": _refuse_histories,
}
