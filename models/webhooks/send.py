"""One message to one receiver: connected to an address that was checked, never redirected, within a deadline."""

import http.client
import socket
import ssl
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache

from models.errors import AddressRefused
from models.webhooks.guard import Network, Target, resolve

#: Seconds for a connection and an answer together.
TIMEOUT = 20.0


@dataclass(frozen=True)
class Answer:
    """What became of an attempt: the receiver's status, or (None) what went wrong before it; `retry_after` as sent."""

    status: int | None
    error: str | None = None
    retry_after: str | None = None

    @property
    def accepted(self) -> bool:
        """Whether the receiver has taken the message."""
        return self.status is not None and 200 <= self.status < 300


def send(
    url: str, headers: Mapping[str, str], body: bytes, allowed: Iterable[Network], timeout: float = TIMEOUT
) -> Answer:
    """POST a message. Never raises for what the receiver or the way to it does."""
    try:
        targets = resolve(url, allowed)
    except AddressRefused as error:
        return Answer(None, str(error))
    except (OSError, UnicodeError):
        return Answer(None, "the host has no address")
    try:
        return _post(targets, headers, body, timeout)
    except (OSError, http.client.HTTPException, ValueError) as error:
        return Answer(None, _said(error))


def _post(targets: list[Target], headers: Mapping[str, str], body: bytes, timeout: float) -> Answer:
    connection = _Checked(targets, timeout)
    # A time limit per read would let a receiver that sends a byte now and then keep us for hours.
    late = threading.Event()
    watch = threading.Timer(timeout, _end, (connection, late))
    watch.daemon = True
    watch.start()
    try:
        connection.request("POST", targets[0].path, body, dict(headers))
        answer = connection.getresponse()
        told = Answer(answer.status, None, answer.getheader("Retry-After"))
    except (OSError, http.client.HTTPException, ValueError):
        if late.is_set():
            raise TimeoutError from None
        raise
    finally:
        watch.cancel()
        connection.close()
    if late.is_set():
        raise TimeoutError
    if 300 <= told.status < 400:  # type: ignore[operator]
        return Answer(told.status, "redirects are not followed; give the address itself")
    return told if told.accepted else Answer(told.status, f"answered {told.status}", told.retry_after)


class _Checked(http.client.HTTPConnection):
    """A connection to the first address that takes one; the host's name is only spoken, never resolved again."""

    def __init__(self, targets: list[Target], timeout: float) -> None:
        first = targets[0]
        super().__init__(first.host, first.port, timeout=timeout)
        self._targets, self._encrypted = targets, first.encrypted
        if first.encrypted:
            self.default_port = 443
        self.ended = False

    def connect(self) -> None:
        """Connect to an address of the list."""
        failed: OSError = OSError("the host has no address")
        for target in self._targets:
            if self.ended:
                raise TimeoutError
            try:
                sock = socket.create_connection((target.address, target.port), self.timeout)
            except OSError as error:
                failed = error
                continue
            self.sock = sock
            if self._encrypted:
                self.sock = _context().wrap_socket(sock, server_hostname=target.host)
            return
        raise failed


def _end(connection: _Checked, late: threading.Event) -> None:
    late.set()
    connection.ended = True
    sock = connection.sock
    if sock is not None:
        try:
            sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            return


@cache
def _context() -> ssl.SSLContext:
    return ssl.create_default_context()


def _said(error: Exception) -> str:
    """What went wrong, without what the receiver sent."""
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate does not hold: {error.verify_message}"
    if isinstance(error, ssl.SSLError):
        return "the encrypted connection failed"
    if isinstance(error, ConnectionError) and not isinstance(error, ConnectionRefusedError):
        return "the connection broke"
    if isinstance(error, OSError):
        return (error.strerror or "the connection broke").lower()
    return "it did not answer in HTTP"
