"""The server's processes, which refuse in the one shape, too, what never becomes a request of the application.

    an address of more than 4,094 bytes        414 uri_too_long
    headers too many or too long               431 headers_too_large
    what breaks the rules of HTTP              400 bad_request

A thread is held by a request only while it comes in, is worked on and goes out. A connection that says nothing waits
beside the threads, and one that stalls in the middle is cut off after the seconds that a kept one may be idle: of few
threads, a cable that was pulled would hold one for ever.

The server loads this before it forks, so what belongs to the application is imported when it is needed.
"""

import errno
import json
import os
import socket
import struct
from typing import Any

from gunicorn.http import errors  # type: ignore[import-untyped]
from gunicorn.util import write_nonblock  # type: ignore[import-untyped]
from gunicorn.workers.gthread import ThreadWorker  # type: ignore[import-untyped]

#: What it raises -> status, code and a sentence; the first that fits. None of these: a bug.
_REFUSED: tuple[tuple[type[Exception], int, str, str], ...] = (
    (errors.LimitRequestLine, 414, "uri_too_long", "The address is too long; send fewer or shorter parameters."),
    (errors.LimitRequestHeaders, 431, "headers_too_large", "The headers are too many or too long."),
    (errors.ExpectationFailed, 417, "expectation_failed", "Expect may only ask for 100-continue."),
    (errors.ParseException, 400, "bad_request", "The request breaks the rules of HTTP and was not read."),
)
_OURS = (errors.InvalidResponseHeader, errors.InvalidResponseHeaderName, errors.ConfigurationProblem)


class Wire(socket.socket):
    """A client's connection, which is cut off once nothing has moved on it for some seconds."""

    @classmethod
    def of(cls, client: socket.socket, seconds: int) -> "Wire":
        """Take the connection over."""
        wire = cls(fileno=client.detach())
        for direction in (socket.SO_RCVTIMEO, socket.SO_SNDTIMEO):
            # The system's own patience, since the server sets and clears the one of Python.
            wire.setsockopt(socket.SOL_SOCKET, direction, struct.pack("ll", seconds, 0))
        return wire

    def recv(self, *args: Any) -> bytes:
        """As ever; a connection that stalls counts as reset by its client."""
        try:
            return super().recv(*args)
        except BlockingIOError:
            raise self._cut_off() from None

    def sendall(self, *args: Any) -> None:
        """As ever; a connection that stalls counts as reset by its client."""
        try:
            super().sendall(*args)
        except BlockingIOError:
            raise self._cut_off() from None

    def _cut_off(self) -> ConnectionResetError:
        self.shutdown(socket.SHUT_RDWR)  # so that nobody waits for its last words
        return ConnectionResetError(errno.ECONNRESET, "nothing has moved on the connection")


class Worker(ThreadWorker):  # type: ignore[misc]
    """Threads as ever, patience that ends, and refusals of ours."""

    def handle(self, conn: Any) -> Any:
        """Answer a request, unless none has come yet."""
        if not isinstance(conn.sock, Wire):
            conn.sock = Wire.of(conn.sock, self.cfg.keepalive)
            look = conn.wait_for_data
            # A thread of its own to wait with is more than a connection gets before it says something.
            conn.wait_for_data = lambda _seconds: look(0)
        return super().handle(conn)

    def handle_error(self, req: Any, client: Any, addr: Any, exc: Exception) -> None:  # noqa: ARG002
        """Answer a request that could not be read, or an answer that could not be written."""
        from api.errors import BROKEN  # noqa: PLC0415

        found = (500, "internal", BROKEN)
        if not isinstance(exc, _OURS):
            found = next(
                ((status, code, text) for kind, status, code, text in _REFUSED if isinstance(exc, kind)), found
            )
        request_id = os.urandom(12).hex()
        _log(request_id, found[0], exc)
        try:
            write_nonblock(client, answer(*found, request_id))
        except OSError:
            self.log.debug("Failed to send error message.")


def _log(request_id: str, status: int, exc: Exception) -> None:
    import structlog  # noqa: PLC0415

    structlog.get_logger().warning("not_a_request", request_id=request_id, status=status, error=type(exc).__name__)


def answer(status: int, code: str, detail: str, request_id: str) -> bytes:
    """A whole answer as it goes over the wire."""
    from api.errors import PROBLEM, RETRY_SECONDS, problem_body  # noqa: PLC0415
    from api.logs import REQUEST_ID  # noqa: PLC0415

    plain = problem_body(status, code, detail, request_id)
    body = json.dumps(plain)
    lines = [f"HTTP/1.1 {status} {plain['title']}", f"Content-Type: {PROBLEM}", f"Content-Length: {len(body)}"]
    lines += [f"{REQUEST_ID}: {request_id}", "Connection: close"]
    lines += [f"Retry-After: {RETRY_SECONDS}"] if status >= 500 else []
    return "\r\n".join([*lines, "", body]).encode("latin-1")
