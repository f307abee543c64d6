"""The examples of the API played against a service, and written anew: `python -m tests.http.tour`."""

import json
import re
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from api import examples
from tests.http.cast import NOW, promote, put_model, tell_story
from tests.http.conftest import Served, serve

PATH = Path(examples.__file__).with_name(examples.FILE)
#: Differs every time; and secrets, which no document may hold.
VARIES = {"request_id", "key", "key_id", "model_id", "secret", "webhook_id", "message_id", "previous", "in_service"}
#: So many entries of a list are shown.
SHOWN = 2
_IDS = re.compile(r"\bkey:[0-9a-f]{12}\b|\b[0-9a-f]{12}\b|\b\d{8}T\d{6}Z-[0-9a-f]{8}\b")
#: Digits of a number that every machine agrees on.
_DIGITS = 9
_OWN = ("status", "answer")


def played(served: Served) -> Iterator[tuple[examples.Call, int, Any, str]]:
    """Every call in its order with what it is answered: status, body as the examples show it, content type."""
    kept: dict[str, str] = {}
    for call in examples.load():
        headers = served.headers(call["who"]) if "who" in call else {}
        got = served.client.open(
            call["path"].format(**kept), method=call["method"], headers=headers, json=call.get("body")
        )
        body = got.json if got.is_json or "json" in got.content_type else got.text
        for name, pointer in call.get("keep", {}).items():
            kept[name] = str(_at(body, pointer))
        yield call, got.status_code, shown(body), got.content_type


def _at(body: Any, pointer: str) -> Any:
    for name in pointer.strip("/").split("/"):
        body = body[name]
    return body


def shown(body: Any, name: str = "") -> Any:
    """A body as an example: long lists cut, what differs every time masked."""
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
    return _IDS.sub("...", body) if isinstance(body, str) else body


def write() -> None:
    """Play all calls against a service of the tests' cast and keep what it answers."""
    with tempfile.TemporaryDirectory() as folder:
        served = service(Path(folder))
        made = [
            {**{name: value for name, value in call.items() if name not in _OWN}, "status": status, "answer": answer}
            for call, status, answer, _ in played(served)
        ]
        served.app.extensions["ebbtide"].store.close()
    PATH.write_text(json.dumps(made, indent=1, ensure_ascii=False) + "\n", "utf-8")


def service(folder: Path) -> Served:
    """The cast's story on a store and a model of its own."""
    from models.store.engine import connect
    from models.store.migrate import migrate

    model_id = put_model(folder / "artefacts", NOW)
    promote(folder / "artefacts", model_id, NOW)
    engine = connect(f"sqlite:///{folder}/tour.db")
    migrate(engine)
    served = serve(engine, folder / "artefacts", model_id)
    tell_story(served.engine, served.artefacts, served.model_id)
    return served


if __name__ == "__main__":
    write()
