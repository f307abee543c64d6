"""Where messages may go, and what a receiver may do to us."""

import ipaddress
import socket
import threading
import time

import pytest

from models.errors import AddressRefused
from models.webhooks import guard
from models.webhooks.guard import check_url, is_public, parse_networks, resolve
from models.webhooks.send import send
from tests.webhooks.receiver import LOOPBACK, receiver

PUBLIC = ["93.184.216.34", "8.8.8.8", "2606:2800:220:1:248:1893:25c8:1946", "::ffff:8.8.8.8", "64:ff9b::808:808"]
INNER = [
    *("127.0.0.1", "127.8.8.8", "10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1", "169.254.169.254"),
    *("0.0.0.0", "0.1.2.3", "100.64.0.1", "192.0.0.8", "192.0.2.1", "198.18.0.1", "198.51.100.1", "203.0.113.9"),
    *("224.0.0.1", "239.1.1.1", "240.0.0.1", "255.255.255.255", "192.88.99.1"),
    *("::", "::1", "fe80::1", "fc00::1", "fd12::1", "fec0::1", "ff02::1", "2001:db8::1", "100::1", "3fff::1"),
    *("::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:a9fe:a9fe", "::10.0.0.1", "64:ff9b::a00:1", "64:ff9b:1::1"),
    *("2002:a00:1::1", "2002:7f00:1::1", "2001:0:4136:e378:8000:63bf:3fff:fdd2", "5f00::1"),
]


@pytest.mark.parametrize("address", PUBLIC)
def test_public_addresses(address):
    assert is_public(ipaddress.ip_address(address))


@pytest.mark.parametrize("address", INNER)
def test_addresses_that_only_we_can_reach(address):
    assert not is_public(ipaddress.ip_address(address))
    host = f"[{address}]" if ":" in address else address
    with pytest.raises(AddressRefused, match="not on the public internet"):
        check_url(f"https://{host}/x", ())


@pytest.mark.parametrize(
    "url",
    [
        *("", "example.com", "ftp://example.com/", "file:///etc/passwd", "https://", "https:///x", "//example.com/"),
        *("https://user:word@example.com/", "https://example.com@10.0.0.1/", "https://example.com/#x"),
        *("https://exa mple.com/", "https://example.com:0/", "https://example.com:99999/"),
        "https://example.com/\r\nX: y",
        *("http://example.com/", "https://[::1/", f"https://example.com/{'x' * 2000}", "https://exämple.com/"),
        *("https://[fe80::1%25eth0]/", "https://[fe80::1%lo]/", "https://exa%6dple.com/", "https://[8.8.8.8]/"),
    ],
)  # fmt: skip
def test_addresses_that_are_none(url):
    with pytest.raises(AddressRefused):
        check_url(url, ())


ITSELF = ["2130706433", "0x7f.1", "0177.0.0.1", "127.1", "0", "localhost", "localhost.", "LocalHost"]


@pytest.mark.parametrize("host", [*ITSELF, "127.0.0.1.", "0x7F000001", "2852039166", "a.localhost"])
def test_other_ways_to_write_the_machine_itself_are_refused_when_a_webhook_is_made(host):
    with pytest.raises(AddressRefused, match="not on the public internet"):
        check_url(f"https://{host}/x", ())


def test_names_and_public_addresses_are_left_to_the_resolver():
    for host in ("example.com", "example.com.", "localhost.example", "134744072", "8.8.8.8", "1e100.net", "a..b"):
        assert check_url(f"https://{host}/x", ()).hostname == host
    named = parse_networks("127.0.0.1")
    for host in ITSELF:
        if host != "0":
            check_url(f"http://{host}:8080/", named)


@pytest.mark.parametrize("host", ITSELF)
def test_other_ways_to_write_the_machine_itself(host):
    """The resolver understands them, so they are judged by what it makes of them."""
    told = send(f"https://{host}/", {}, b"{}", (), timeout=2)
    assert told.status is None
    assert "not on the public internet" in told.error or told.error == "the host has no address"


def test_a_name_with_one_inner_address_is_refused(monkeypatch):
    answers = [
        (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("93.184.216.34", 443)),
        (socket.AF_INET6, socket.SOCK_STREAM, 6, "", ("fe80::1%eth0", 443, 0, 2)),
    ]
    monkeypatch.setattr(guard.socket, "getaddrinfo", lambda *_, **__: answers)
    with pytest.raises(AddressRefused, match="fe80::1"):
        resolve("https://evil.example/", ())


def test_a_name_that_changes_leads_nowhere(monkeypatch):
    """First public, then the machine itself: the connection goes to the address that was checked."""
    called, asked = [], []
    answers = [("93.184.216.34", 443), ("127.0.0.1", 443)]

    def look_up(host, port, *_, **__):
        asked.append(host)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", answers[min(len(asked) - 1, 1)])]

    def connect(place, *_, **__):
        called.append(place)
        raise ConnectionRefusedError(111, "Connection refused")

    monkeypatch.setattr(guard.socket, "getaddrinfo", look_up)
    monkeypatch.setattr(socket, "create_connection", connect)
    told = send("https://evil.example/", {}, b"{}", ())
    assert (asked, called) == (["evil.example"], [("93.184.216.34", 443)])
    assert told.error == "connection refused"


def test_networks_that_are_allowed():
    named = parse_networks("10.1.0.0/16, ::1")
    check_url("http://10.1.2.3:8080/x", named)
    check_url("https://[::ffff:10.1.2.3]/x", named)
    with pytest.raises(AddressRefused):
        check_url("http://10.2.0.1/", named)
    with pytest.raises(AddressRefused, match="https"):
        check_url("http://8.8.8.8/", named)


def test_a_message_arrives_whole():
    with receiver() as there:
        told = send(there.url, {"webhook-id": "msg_1"}, b'{"a":1}', LOOPBACK)
    assert (told.status, told.accepted, told.error) == (204, True, None)
    [(headers, body)] = there.got
    assert (headers["webhook-id"], body) == ("msg_1", b'{"a":1}')
    assert headers["host"] == f"127.0.0.1:{there.port}"


def test_a_redirect_is_not_followed():
    with receiver() as inner, receiver((302, {"Location": inner.url})) as there:
        told = send(there.url, {"webhook-id": "m"}, b"{}", LOOPBACK)
        assert (told.status, told.accepted) == (302, False)
        assert "not followed" in told.error
        assert not inner.got


def _raw(*parts: bytes, pause: float = 0.0) -> tuple[str, threading.Thread]:
    """A server that says these bytes to one caller."""
    door = socket.create_server(("127.0.0.1", 0))

    def speak() -> None:
        caller, _ = door.accept()
        with door, caller:
            try:
                caller.recv(65_536)
                for part in parts:
                    caller.sendall(part)
                    time.sleep(pause)
            except OSError:
                return

    thread = threading.Thread(target=speak, daemon=True)
    thread.start()
    return f"http://127.0.0.1:{door.getsockname()[1]}/", thread


@pytest.mark.parametrize(
    ("said", "error"),
    [
        (b"garbage\r\n\r\n", "it did not answer in HTTP"),
        (b"", "the connection broke"),
        (b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 200 + b"\r\n", "it did not answer in HTTP"),
    ],
    ids=["garbage", "nothing", "headers"],
)
def test_nonsense_is_a_failure_in_words(said, error):
    url, thread = _raw(said)
    told = send(url, {}, b"{}", LOOPBACK, timeout=5)
    assert (told.status, told.error) == (None, error)
    thread.join(5)


def test_a_receiver_that_trickles_is_left_in_time():
    url, _ = _raw(b"HTTP/1.1 200 OK\r\n", *[b"X: y\r\n"] * 40, pause=0.1)
    began = time.monotonic()
    told = send(url, {}, b"{}", LOOPBACK, timeout=0.5)
    assert (told.status, told.error) == (None, "no answer in time")
    assert time.monotonic() - began < 2


def test_nobody_there():
    with socket.create_server(("127.0.0.1", 0)) as door:
        port = door.getsockname()[1]
    assert send(f"http://127.0.0.1:{port}/", {}, b"{}", LOOPBACK).error == "connection refused"
