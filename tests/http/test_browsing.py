"""The description as a page: it comes whole from this service, and a browser can draw it."""

import re
import shutil
import subprocess
import threading
from importlib.resources import files

import pytest
from werkzeug.serving import make_server

from api.browsing import FILES

_NAMES = ("chromium", "chromium-browser", "google-chrome")
BROWSER = next((found for name in _NAMES if (found := shutil.which(name))), "")


def test_it_asks_nothing_of_other_hosts(served):
    page = served.client.get("/docs")
    assert (page.status_code, page.content_type) == (200, "text/html; charset=utf-8")
    assert not re.search(r"(?:src|href)=\"(?:https?:)?//", page.text)
    named = set(re.findall(r"(?:src|href)=\"docs/([^\"]+)\"", page.text))
    assert named == set(FILES)
    assert "default-src 'none'" in page.headers["Content-Security-Policy"]
    for name in named:
        assert served.client.get(f"/docs/{name}").status_code == 200
    missing = served.client.get("/docs/nothing.js")
    assert (missing.status_code, missing.json["code"]) == (404, "not_found")


def test_the_library_keeps_its_licence():
    kept = files("api").joinpath("static/swagger-ui")
    assert "Apache License" in kept.joinpath("LICENSE").read_text("utf-8")
    assert kept.joinpath("NOTICE").is_file()


@pytest.mark.skipif(not BROWSER, reason="no Chromium is installed: apt-get install chromium")
def test_a_browser_draws_it(served, tmp_path):
    server = make_server("127.0.0.1", 0, served.app, threaded=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        done = subprocess.run(
            [BROWSER, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path}", "--dump-dom",
             "--virtual-time-budget=20000", f"http://127.0.0.1:{server.server_port}/docs"],
            capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
    assert "/v1/accounts/{account_id}/health" in done.stdout.replace("\u200b", "").replace("<wbr>", ""), done.stderr
