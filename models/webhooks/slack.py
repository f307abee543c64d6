"""Events as a line of text, in the form Slack and those compatible with it take: `{"text": "..."}`."""

import json
from collections.abc import Callable, Mapping
from typing import Any

Data = Mapping[str, Any]


def body(event_type: str, data: Data) -> bytes:
    """The message for a channel."""
    line = _LINES[event_type](data) if event_type in _LINES else event_type
    return json.dumps({"text": line}, ensure_ascii=False, separators=(",", ":")).encode()


def _text(value: object) -> str:
    """What somebody else wrote, so that it is no markup and no mention."""
    return str(value).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _account(data: Data) -> str:
    name = data.get("name")
    return _text(f"{name} ({data['account_id']})" if name else data["account_id"])


def _band(data: Data) -> str:
    return (
        f"{_account(data)}: {data['previous_band']} → *{data['band']}*, health {data['previous_health']:.0f} → "
        f"{data['health']:.0f}"
    )


def _entered(data: Data) -> str:
    owner = f", owner {_text(data['owner'])}" if data.get("owner") else ""
    loss = data.get("expected_revenue_loss")
    stake = "" if loss is None else f", {loss:,.0f} {_text(data.get('currency') or '')} a year at stake".rstrip()
    return f"{_account(data)} is now on the silent list: {data['p_silent']:.1%} to leave without a word{stake}{owner}"


def _left(data: Data) -> str:
    return f"{_account(data)} is no longer on the silent list"


def _low(data: Data) -> str:
    return f"{_account(data)} answered {_text(data['instrument']).upper()} with {data['score']:g}"


def _list(data: Data) -> str:
    if data["kind"] == "issued":
        return f"List {data['list_id']} is issued: {data['entries']:,} accounts, as of {data['as_of']}"
    return f"Silent list {data['list_id']} is published: {data['entries']:,} quiet accounts, as of {data['as_of']}"


def _model(data: Data) -> str:
    what = "is in service again" if data["action"] == "rollback" else "is in service"
    why = f": {_text(data['why'])}" if data.get("why") else ""
    return f"Model {_text(data['model_id'])} {what}, by {_text(data['who'])}{why}"


def _import(data: Data) -> str:
    rows = sum(table.get("accepted", 0) for table in data["tables"].values())
    rejected = sum(table.get("rejected", 0) for table in data["tables"].values())
    if data["status"] != "done":
        return f"The import {_text(data['source'])} failed: {_text(data.get('error', 'no reason given'))}"
    return f"The import {_text(data['source'])} is done: {rows:,} rows accepted, {rejected:,} rejected"


def _quiet(data: Data) -> str:
    return (
        f"Source {_text(data['source'])} has told no {_text(data['table'])} since {data['quiet_since']}, although "
        f"{data['due']:,.0f} were due: it has stopped, customers have not fallen silent"
    )


def _back(data: Data) -> str:
    return (
        f"Source {_text(data['source'])} tells {_text(data['table'])} again; it was quiet since {data['quiet_since']}"
    )


_LINES: dict[str, Callable[[Data], str]] = {
    "account.band_changed": _band,
    "account.entered_silent_list": _entered,
    "account.left_silent_list": _left,
    "survey.low_score": _low,
    "list.published": _list,
    "model.promoted": _model,
    "import.finished": _import,
    "source.quiet": _quiet,
    "source.back": _back,
}
