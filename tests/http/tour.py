"""The examples of the API played against a service, and written anew: `python -m tests.http.tour`."""

import base64
import hashlib
import hmac
import json
import re
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from api import examples
from api.bodies import JSON, NDJSON
from models.clock import isoformat
from models.store.engine import connect
from models.store.migrate import migrate
from tests.http.cast import NOW, promote, put_model, tell_story
from tests.http.conftest import Served, let_go, serve

PATH = Path(examples.__file__).with_name(examples.FILE)
#: Differs every time; and secrets, which no document may hold.
VARIES = {
    "request_id",
    "key",
    "key_id",
    "model_id",
    "secret",
    "webhook_id",
    "pseudonym",
    "message_id",
    "previous",
    "in_service",
}
#: So many entries of a list are shown.
SHOWN = 2
_IDS = re.compile(r"\bkey:[0-9a-f]{12}\b|\b[0-9a-f]{12}\b|\b\d{8}T\d{6}Z-[0-9a-f]{8}\b")
_SECONDS = re.compile(r"in \d+ seconds; go on in \d+ seconds")
#: Digits of a number that every machine agrees on.
_DIGITS = 9
_OWN = ("status", "type", "answer")
#: What the live doors of the tour are opened with.
SECRET = "one"
_QUOTA = (1, 10**8)


@dataclass(frozen=True)
class Request:
    """A call of the tour as it is sent."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes | None


@dataclass(frozen=True)
class Answer:
    """What came back: `body` parsed where it is JSON, else text."""

    status: int
    type: str
    body: Any


#: Sends a request to the service of a name ("": the cast's).
Sender = Callable[[str, Request, examples.Call], Answer]


def played(keys: Mapping[str, Mapping[str, str]], send: Sender) -> Iterator[tuple[examples.Call, Answer]]:
    """Every call in its order with what it is answered, as the examples show it. `keys`: by service and who."""
    kept: dict[str, str] = {}
    for call in examples.load():
        service = call.get("service", "")
        got = send(service, request(call, kept, keys[service].get(call.get("who", ""))), call)
        for name, pointer in call.get("keep", {}).items():
            kept[name] = str(_at(got.body, pointer))
        yield call, Answer(got.status, got.type, shown(got.body, type=got.type))


def request(call: examples.Call, kept: Mapping[str, str], key: str | None) -> Request:
    """The call with the ids that calls before it were answered, and the key of who makes it."""
    body: bytes | None = None
    headers = dict(call.get("headers", {}))
    if "raw" in call:
        body = call["raw"].encode() * call.get("times", 1)
    elif "body" in call:
        whole = call["body"]
        if "times" in call:
            whole = {**whole, "items": whole["items"] * call["times"]}
        # to the byte as clients of Python write it: what is signed must not be written differently
        body = json.dumps(whole, ensure_ascii=False, separators=(",", ":")).encode()
        headers["Content-Type"] = JSON
    if "sign" in call:
        assert body is not None
        headers |= signed(call["sign"], body)
    if key is not None:
        headers["Authorization"] = f"Bearer {key}"
    return Request(call["method"], call["path"].format(**kept), headers, body)


def signed(door: str, body: bytes) -> dict[str, str]:
    """The headers by which a helpdesk says that a message is its own."""
    if door == "intercom":
        return {"X-Hub-Signature": "sha1=" + hmac.new(SECRET.encode(), body, hashlib.sha1).hexdigest()}
    stamp = isoformat(NOW)
    digest = hmac.digest(SECRET.encode(), stamp.encode() + body, "sha256")
    return {
        "X-Zendesk-Webhook-Signature-Timestamp": stamp,
        "X-Zendesk-Webhook-Signature": base64.b64encode(digest).decode(),
    }


def parsed(content_type: str, data: bytes) -> Any:
    """A body as it is looked at: JSON parsed, else text; None where there is none."""
    if not data:
        return None
    text = data.decode()
    return json.loads(text) if "json" in content_type and content_type != NDJSON else text


def in_process(services: Mapping[str, Served]) -> Sender:
    """Sends requests to applications of this process."""

    def send(service: str, asked: Request, call: examples.Call) -> Answer:
        client = services[service].app.test_client()
        got = client.open(asked.path, method=asked.method, headers=asked.headers, data=asked.body)
        kind = got.content_type or ""
        return Answer(got.status_code, kind, parsed(kind, got.data))

    return send


def _at(body: Any, pointer: str) -> Any:
    for name in pointer.strip("/").split("/"):
        body = body[name]
    return body


def shown(body: Any, name: str = "", type: str = JSON) -> Any:
    """A body as an example: long lists cut, what differs every time masked, of other texts the first line."""
    if "json" not in type:
        return body.splitlines()[0] if type.startswith("text/csv") else None
    if name in VARIES and body is not None and not isinstance(body, Mapping):
        return "..."
    if isinstance(body, Mapping):
        return {name: shown(value, name) for name, value in body.items()}
    if isinstance(body, list):
        # keys of one moment come in the order of their ids, which differ every time
        entries = sorted(body, key=lambda entry: entry["name"]) if name == "keys" else body
        return [shown(value) for value in entries[:SHOWN]]
    if isinstance(body, float):
        return float(f"{body:.{_DIGITS}g}")
    return _masked(body) if isinstance(body, str) else body


def _masked(text: str) -> str:
    return _SECONDS.sub("in 60 seconds; go on in 42 seconds", _IDS.sub("...", text))


def write() -> None:
    """Play all calls against services of the tests' cast and keep what they answer."""
    with tempfile.TemporaryDirectory() as folder:
        found = services(Path(folder))
        made = [
            {**{name: value for name, value in call.items() if name not in _OWN}, **_told(answer)}
            for call, answer in played(keys(found), in_process(found))
        ]
        close(found)
    PATH.write_text(json.dumps(made, indent=1, ensure_ascii=False) + "\n", "utf-8")


def _told(answer: Answer) -> dict[str, Any]:
    return {"status": answer.status, "type": answer.type, "answer": answer.body}


def services(folder: Path) -> dict[str, Served]:
    """By name: the cast's, one without a model or a list, and one whose keys have asked as often as they may."""
    whole = service(folder)
    empty = serve(_store(folder / "empty.db"), folder / "nothing", "", zendesk_secrets=(), intercom_secrets=())
    limited = serve(_store(folder / "limited.db"), whole.artefacts, whole.model_id, rate_limit=_QUOTA)
    for who in limited.keys:
        limited.get("/v1/model", who)
    return {"": whole, "empty": empty, "limited": limited}


def keys(services: Mapping[str, Served]) -> dict[str, dict[str, str]]:
    """The keys of each."""
    return {name: served.keys for name, served in services.items()}


def close(services: Mapping[str, Served]) -> None:
    """Close their stores."""
    for served in services.values():
        let_go(served)


def _store(path: Path) -> Any:
    engine = connect(f"sqlite:///{path}")
    migrate(engine)
    return engine


def service(folder: Path) -> Served:
    """The cast's story on a store and a model of its own."""
    model_id = put_model(folder / "artefacts", NOW)
    promote(folder / "artefacts", model_id, NOW)
    doors = {"zendesk_secrets": (SECRET,), "intercom_secrets": (SECRET,)}
    served = serve(_store(folder / "tour.db"), folder / "artefacts", model_id, **doors)
    tell_story(served.engine, served.artefacts, served.model_id)
    return served


if __name__ == "__main__":
    write()
