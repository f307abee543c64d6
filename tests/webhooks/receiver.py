"""A receiver of messages on a real socket: keeps what it gets and answers as it is told."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from models.webhooks.guard import parse_networks

#: Where receivers of tests live.
LOOPBACK = parse_networks("127.0.0.1")

#: Status and headers of an answer.
Reply = tuple[int, dict[str, str]]


@dataclass
class Receiver:
    """What came in, and how to answer the next ones; `then` answers once `replies` are used up."""

    port: int = 0
    got: list[tuple[dict[str, str], bytes]] = field(default_factory=list)
    replies: list[Reply] = field(default_factory=list)
    then: Reply = (204, {})
    before: Callable[[], None] = lambda: None
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook?of=ours"

    @property
    def ids(self) -> list[str]:
        with self.lock:
            return [headers["webhook-id"] for headers, _ in self.got]


@contextmanager
def receiver(*replies: Reply) -> Iterator[Receiver]:
    """A receiver for as long as the context lasts."""
    kept = Receiver(replies=list(replies))

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            kept.before()
            with kept.lock:
                kept.got.append(({name.lower(): value for name, value in self.headers.items()}, body))
                status, headers = kept.replies.pop(0) if kept.replies else kept.then
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *args: object) -> None:
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    kept.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield kept
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
