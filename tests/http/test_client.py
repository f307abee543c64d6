"""Clients that are not ours, over a real socket: one generated from the description, and curl as the guide types it."""

import importlib
import json
import os
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from werkzeug.serving import make_server

from models.loading import load_model
from models.store.scoring import score_store
from tests.http.cast import NOW
from tests.http.conftest import Served

DOCS = Path(__file__).parents[2] / "docs"
CURL = shutil.which("curl")


@pytest.fixture
def address(told: Served) -> Iterator[str]:
    """Where the cast's service answers; the account of the guide is described, scored a while ago and again now."""
    acme = {"name": "Acme", "owner": "ana@example.org", "mrr": 900, "started_at": "2024-03-01T00:00:00Z"}
    assert told.put("/v1/accounts/A-7", acme).status_code == 201
    made, _ = load_model(told.artefacts, told.model_id)
    for moment in (NOW - timedelta(days=40), NOW):
        score_store(told.engine, made, moment, who="test", clock=lambda: NOW)
    server = make_server("127.0.0.1", 0, told.app, threaded=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def generated(told: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A package made of the description by a generator, importable by its name."""
    (tmp_path / "openapi.json").write_text(told.client.get("/openapi.json").text, "utf-8")
    (tmp_path / "quietly.yaml").write_text("post_hooks: []\n")
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


def told_lines() -> list[str]:
    """Every curl command of the guides."""
    pages = sorted(DOCS.glob("*.md"))
    blocks = [block for page in pages for block in re.findall(r"```\w*\n(curl .*?)```", page.read_text("utf-8"), re.S)]
    return [block.strip() for block in blocks]


@pytest.mark.skipif(CURL is None, reason="curl is not installed")
def test_what_the_guide_types_works(told: Served, address: str) -> None:
    earlier = told.post("/v1/risk-lists", {"capacity": 3}).json["list"]["list_id"]
    lines = told_lines()
    assert len(lines) >= 7
    for line in lines:
        typed = line.replace("http://127.0.0.1:8000", address).replace('"since": 41', f'"since": {earlier}')
        done = subprocess.run(
            ["bash", "-c", typed.replace("curl ", "curl -sS --fail-with-body ", 1)],
            env={"PATH": os.environ["PATH"], "KEY": told.keys["admin"], "EBBTIDE_KEY": told.keys["admin"]},
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, f"{line}\n{done.stdout}\n{done.stderr}"
        parts = done.stdout.splitlines() if "x-ndjson" in line else [done.stdout]
        assert [json.loads(part) for part in parts]
