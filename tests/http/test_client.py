"""Clients that are not ours, over a real socket: one generated from the description, and curl as the guide types it.

Both go the whole tour: every operation and every refusal that the description shows, in its order.
"""

import importlib
import inspect
import json
import os
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from datetime import datetime, timedelta
from enum import Enum
from pathlib import Path
from typing import Any, get_args
from urllib.parse import parse_qsl, unquote, urlsplit

import pytest
from werkzeug.serving import make_server

from api import examples
from models.loading import load_model
from models.store.scoring import score_store
from tests.http import tour
from tests.http.cast import NOW
from tests.http.conftest import Served
from tests.http.test_errors import ROUTES

DOCS = Path(__file__).parents[2] / "docs"
PAGES = [DOCS.parent / "README.md", *sorted(DOCS.glob("*.md"))]
#: The generator knows no streams of lines; told that they are bytes, it says nothing.
OVERRIDES = "content_type_overrides: {application/x-ndjson: application/octet-stream}\n"
CURL = shutil.which("curl")


@pytest.fixture
def address(told: Served) -> Iterator[str]:
    """Where the cast's service answers; the account of the guide is described, scored a while ago and again now."""
    acme = {"name": "Acme", "owner": "ana@example.org", "mrr": 900, "started_at": "2024-03-01T00:00:00Z"}
    assert told.put("/v1/accounts/A-7", acme).status_code == 201
    made, _ = load_model(told.artefacts, told.model_id)
    for moment in (NOW - timedelta(days=40), NOW):
        score_store(told.engine, made, moment, who="test", clock=lambda: NOW)
    with listening(told) as found:
        yield found


@contextmanager
def listening(served: Served) -> Iterator[str]:
    """The address at which an application answers meanwhile."""
    server = make_server("127.0.0.1", 0, served.app, threaded=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def toured(tmp_path: Path) -> Iterator[tuple[dict[str, dict[str, str]], dict[str, str]]]:
    """The keys and the addresses of the services of the tour."""
    found = tour.services(tmp_path)
    with ExitStack() as open_until_the_end:
        yield tour.keys(found), {n: open_until_the_end.enter_context(listening(s)) for n, s in found.items()}
    tour.close(found)


@pytest.fixture
def generated(told: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A package made of the description by a generator, importable by its name."""
    (tmp_path / "openapi.json").write_text(told.client.get("/openapi.json").text, "utf-8")
    (tmp_path / "quietly.yaml").write_text(f"post_hooks: []\n{OVERRIDES}")
    done = subprocess.run(
        [sys.executable, "-m", "openapi_python_client", "generate", "--path", "openapi.json", "--meta", "none",
         "--output-path", "ebbtide_client", "--config", "quietly.yaml", "--fail-on-warning"],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    monkeypatch.syspath_prepend(tmp_path)
    importlib.invalidate_caches()
    yield "ebbtide_client"
    for name in [name for name in sys.modules if name.startswith("ebbtide_client")]:
        del sys.modules[name]


def test_a_generated_client_does_a_days_work(told: Served, address: str, generated: str) -> None:
    def ask(operation: str, *args, **body):
        tag, name = operation.split(".")
        return importlib.import_module(f"{generated}.api.{tag}.{name}").sync(*args, client=client, **body)

    def made(name: str, plain: dict):
        found = importlib.import_module(f"{generated}.models")
        return getattr(found, name).from_dict(plain)

    client = importlib.import_module(generated).AuthenticatedClient(address, told.keys["admin"])
    contact = {"interaction_id": "T-1", "account_id": "A-7", "opened_at": "2026-05-30T09:00:00Z", "kind": "problem"}
    stored = ask("interactions.post_interactions", body=made("InteractionBatch", {"items": [contact]}))
    assert [item.status for item in stored.results] == ["created"]
    health = ask("health.get_health", "A-7")
    assert health.account_id == "A-7"
    assert abs(50 + sum(health.components.to_dict().values()) - health.health_unclipped) < 1e-6
    listed = ask("risk_lists.get_silent_list", limit=3)
    assert [entry.rank for entry in listed.entries] == [1, 2, 3]
    issued = ask("issued_lists.post_risk_list", body=made("IssueRequest", {"capacity": 2}))
    assert len(issued.entries) == 2
    refused = ask("health.get_health", "nobody")
    assert (refused.status, refused.code) == (404, "unknown_account")


@pytest.mark.skipif(CURL is None, reason="curl is not installed")
def test_curl_goes_the_whole_tour(toured) -> None:
    keys, addresses = toured

    def send(service: str, asked: tour.Request, call: examples.Call) -> tour.Answer:
        typed = [
            "curl",
            "-sS",
            "-X",
            asked.method,
            "-w",
            "\n%{http_code} %{content_type}",
            addresses[service] + asked.path,
        ]
        typed += [part for name, value in asked.headers.items() for part in ("-H", f"{name}: {value}")]
        typed += ["--data-binary", "@-"] if asked.body is not None else []
        done = subprocess.run(typed, input=asked.body or b"", capture_output=True, check=True)
        body, _, line = done.stdout.rpartition(b"\n")
        status, _, kind = line.decode().partition(" ")
        return tour.Answer(int(status), kind, tour.parsed(kind, body))

    for call, got in tour.played(keys, send):
        assert (got.status, got.type, got.body) == (call["status"], call["type"], call["answer"]), call["summary"]


def test_a_generated_client_goes_the_whole_tour(told: Served, toured, generated: str) -> None:
    keys, addresses = toured
    typed = Typed(generated, told.client.get("/openapi.json").json["paths"])

    def send(service: str, asked: tour.Request, call: examples.Call) -> tour.Answer:
        return typed.send(addresses[service], asked, call)

    for call, got in tour.played(keys, send):
        assert got.status == call["status"], call["summary"]
        assert same_times(got.body) == same_times(call["answer"]), call["summary"]
    # nobody has looked at the model of the cast, and the description does not describe itself
    assert typed.done == set(ROUTES) - {"get_monitor", "openapi_json"}


class Typed:
    """Sends the calls of the tour with the functions and classes of a generated client; `done`: operations that it did.

    What its types do not let one say (a body that is no JSON, a misspelt member) goes through the client's own http.
    """

    def __init__(self, package: str, paths: Mapping[str, Any]) -> None:
        self._package = package
        self._operations = {
            operation["operationId"]: (path, operation["tags"][0].replace("-", "_"))
            for path, methods in paths.items()
            for operation in methods.values()
            if "operationId" in operation
        }
        self.done: set[str] = set()

    def send(self, address: str, asked: tour.Request, call: examples.Call) -> tour.Answer:
        made = importlib.import_module(self._package)
        key = asked.headers.get("Authorization", "").removeprefix("Bearer ")
        client = made.AuthenticatedClient(address, key) if key else made.Client(address)
        if not self._can_say(asked, call):
            with client.get_httpx_client() as http:
                got = http.request(asked.method, asked.path, headers=asked.headers, content=asked.body)
            kind = got.headers.get("Content-Type", "")
            return tour.Answer(got.status_code, kind, tour.parsed(kind, got.content))
        with client:
            got = self._ask(client, asked, call)
        if got.status_code < 400:
            self.done.add(call["operation"])
        return tour.Answer(int(got.status_code), got.headers.get("Content-Type", ""), plain(got.parsed))

    def _can_say(self, asked: tour.Request, call: examples.Call) -> bool:
        """Whether its types let one: not a body that does not fit, nor a header that the address does not look at."""
        described = {*inspect.signature(self._function(call)).parameters, "authorization", "content_type"}
        headers = {name.lower().replace("-", "_") for name in asked.headers}
        return "raw" not in call and headers <= described and not (call["status"] == 422 and "body" in call)

    def _function(self, call: examples.Call) -> Any:
        _, tag = self._operations[call["operation"]]
        return importlib.import_module(f"{self._package}.api.{tag}.{call['operation']}").sync_detailed

    def _ask(self, client: Any, asked: tour.Request, call: examples.Call) -> Any:
        (template, _), ask = self._operations[call["operation"]], self._function(call)
        wanted = inspect.signature(ask).parameters
        address = urlsplit(asked.path)
        held = re.fullmatch(re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", template), address.path)
        assert held is not None
        given = {name: unquote(text) for name, text in held.groupdict().items()}
        given |= {"from_" if name == "from" else name: text for name, text in parse_qsl(address.query)}
        headers = {name.lower().replace("-", "_"): text for name, text in asked.headers.items()}
        given |= {name: text for name, text in headers.items() if name in wanted}
        options = {name: typed_as(wanted[name].annotation, text) for name, text in given.items()}
        if asked.body is not None:
            body = next(kind for kind in kinds(wanted["body"].annotation) if hasattr(kind, "from_dict"))
            options["body"] = body.from_dict(json.loads(asked.body))
        return ask(client=client, **options)


def kinds(annotation: Any) -> tuple[Any, ...]:
    """The types of a union, or the one there is."""
    return get_args(annotation) or (annotation,)


def typed_as(annotation: Any, text: str) -> Any:
    """A parameter's text in the type that a generated function takes."""
    for kind in kinds(annotation):
        if kind in (int, float):
            return kind(text)
        if kind is datetime:
            return datetime.fromisoformat(text)
        if isinstance(kind, type) and issubclass(kind, Enum):
            return kind(text)
    return text


def plain(parsed: Any) -> Any:
    """What a generated client makes of an answer, as JSON again."""
    return parsed.to_dict() if hasattr(parsed, "to_dict") else parsed


def same_times(value: Any) -> Any:
    """JSON in which equal moments are equal texts."""
    if isinstance(value, dict):
        return {name: same_times(part) for name, part in value.items()}
    if isinstance(value, list):
        return [same_times(part) for part in value]
    if isinstance(value, str) and re.fullmatch(r"\d{4}-\d\d-\d\dT[\d:.]+(Z|\+00:00)", value):
        return datetime.fromisoformat(value).isoformat()
    return value


def commands() -> list[str]:
    """Every curl command of the README and of the guides."""
    blocks = [
        block for page in PAGES for block in re.findall(r"^```\w*\n(.*?)^```", page.read_text("utf-8"), re.S | re.M)
    ]
    return [
        typed.strip() for block in blocks for typed in re.split(r"^(?=curl )", block, flags=re.M) if "curl " in typed
    ]


@pytest.mark.skipif(CURL is None, reason="curl is not installed")
def test_what_the_guide_types_works(told: Served, address: str) -> None:
    earlier = told.post("/v1/risk-lists", {"capacity": 3}).json["list"]["list_id"]
    typed = commands()
    assert len(typed) >= 13
    # each at the beginning of its line: none is told within another, where it would go untried
    assert len(typed) == sum(len(re.findall(r"\bcurl (?:-|'?http)", page.read_text("utf-8"))) for page in PAGES)
    for line in typed:
        ours = line.replace("http://127.0.0.1:8000", address).replace('"since": 41', f'"since": {earlier}')
        done = subprocess.run(
            ["bash", "-c", ours.replace("A001750", "A-7").replace("curl ", "curl -sS --fail-with-body ", 1)],
            env={"PATH": os.environ["PATH"], "KEY": told.keys["admin"], "EBBTIDE_KEY": told.keys["admin"]},
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, f"{line}\n{done.stdout}\n{done.stderr}"
        parts = done.stdout.splitlines() if "x-ndjson" in line else [done.stdout]
        assert [json.loads(part) for part in parts]
