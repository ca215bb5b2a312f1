"""Hostile peers: clients that smuggle, upstreams that answer garbage, strangers at the API. Each is refused, and others are served."""
import http.client
import re
import socket
import threading

import pytest

from sluiced import Sluiced
from test_proxy import Backend, Proxy, mesh_of

DEADLINE_S = 20
ENOUGH = 1 << 20  # what an endless upstream sends at most, per connection


def ask(port, text):
    """All that comes back until the connection ends, or nothing more comes for a while."""
    with socket.create_connection(("127.0.0.1", port), timeout=DEADLINE_S) as s:
        s.sendall(text)
        s.shutdown(socket.SHUT_WR)
        answer = b""
        try:
            while piece := s.recv(65536):
                answer += piece
        except ConnectionResetError:
            pass
        return answer


def statuses(answer):
    return [int(s) for s in re.findall(rb"HTTP/1\.1 (\d{3}) ", answer)]


SMUGGLED = b"GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nHost: x\r\n"
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize("text", [
    POST + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + SMUGGLED,
    POST + b"Content-Length: 0\r\nContent-Length: 40\r\n\r\n" + SMUGGLED,
    POST + b"Content-Length: +5\r\n\r\nhello" + SMUGGLED,
    POST + b"Content-Length : 5\r\n\r\nhello" + SMUGGLED,
    POST + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n" + SMUGGLED,
    POST + b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n" + SMUGGLED,
    POST + b"Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n" + SMUGGLED,
    POST + b"Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n" + SMUGGLED,
    CHUNKED + b"1\nx\n0\n\n" + SMUGGLED,
    CHUNKED + b"1;a\nb\r\nx\r\n0\r\n\r\n" + SMUGGLED,
    CHUNKED + b"10000000000000000\r\n" + SMUGGLED,
    CHUNKED + b"0\r\nContent-Length: 5\r\n\r\n" + SMUGGLED,
    POST + b"A: b\0c\r\n\r\n" + SMUGGLED,
    POST + b"Host: y\r\n\r\n" + SMUGGLED,
], ids=range(14))
def test_nothing_is_smuggled(served, text):
    backend, proxy = served
    backend.seen.clear()
    answer = statuses(ask(proxy.port, text))
    assert len(answer) == 1 and 400 <= answer[0] <= 501, answer
    assert "/smuggled" not in [path for path, _ in backend.seen]


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    backend = Backend("v1")
    proxy = Proxy(tmp_path_factory.mktemp("proxy"), mesh_of(backend.port))
    yield backend, proxy
    proxy.close()
    backend.close()


class Liar:
    """An upstream that answers any head with given bytes, again and again up to ENOUGH when it is endless, and closes."""

    def __init__(self, text, repeated=b""):
        self.text, self.repeated = text, repeated
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            try:
                connection, _ = self.socket.accept()
            except OSError:
                return
            with connection:
                try:
                    connection.recv(65536)
                    connection.sendall(self.text)
                    for _ in range(ENOUGH // len(self.repeated) if self.repeated else 0):
                        connection.sendall(self.repeated)
                except OSError:
                    pass

    def close(self):
        self.socket.close()


OK = b"HTTP/1.1 200 OK\r\n"
LIES = {
    "nothing": (b"", b""),
    "garbage": (b"\x16\x03\x01" * 100 + b"\r\n\r\n", b""),
    "endless line": (b"HTTP/1.1 200 ", b"x" * 1000),
    "endless fields": (OK, b"A: b\r\n"),
    "endless hints": (b"", b"HTTP/1.1 103 Early Hints\r\n\r\n"),
    "switched unasked": (b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n", b""),
    "two lengths": (OK + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\nab", b""),
    "length and chunked": (OK + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", b""),
    "bare lines": (b"HTTP/1.1 200 OK\nContent-Length: 0\n\n", b""),
    "NUL": (OK + b"A: \0\r\nContent-Length: 0\r\n\r\n", b""),
    "split": (OK + b"Location: /\rSet-Cookie: a=b\r\nContent-Length: 0\r\n\r\n", b""),
    "status 99": (b"HTTP/1.1 99 Low\r\nContent-Length: 0\r\n\r\n", b""),
}


@pytest.mark.parametrize("lie", LIES)
def test_an_upstream_that_lies_is_a_502(tmp_path, lie):
    liar = Liar(*LIES[lie])
    proxy = Proxy(tmp_path, mesh_of(liar.port))
    try:
        answer = [s for s in statuses(ask(proxy.port, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")) if s != 103]
        assert answer in ([502], [503]), answer
    finally:
        proxy.close()
        liar.close()


def test_what_an_upstream_sends_twice_is_not_the_next_answer(tmp_path):
    liar = Liar((OK + b"Content-Length: 1\r\n\r\na") + (OK + b"Content-Length: 4\r\n\r\nevil"))
    proxy = Proxy(tmp_path, mesh_of(liar.port))
    try:
        for _ in range(20):
            connection = http.client.HTTPConnection("127.0.0.1", proxy.port, timeout=DEADLINE_S)
            connection.request("GET", "/")
            assert connection.getresponse().read() in (b"a", b"")
            connection.close()
    finally:
        proxy.close()
        liar.close()


def test_strangers_and_bombs_at_the_api(tmp_path):
    server = Sluiced(tmp_path / "data", "--proxy", "off")
    try:
        maps = "/api/v1/namespaces/default/configmaps"
        for path in (maps, "//" + maps[1:], maps + "/", "/version/.." + maps, maps.replace("config", "%63onfig"), "/metrics", "/openapi/v2"):
            assert server.request("GET", path, with_certificate=False)[0] == 401, path
        with server.tls(False).wrap_socket(socket.create_connection((server.host, server.port), DEADLINE_S),
                                           server_hostname=server.host) as stranger:
            stranger.sendall(f"POST {maps} HTTP/1.1\r\nHost: x\r\nContent-Length: 3000000\r\n\r\n".encode())
            assert stranger.recv(1000).startswith(b"HTTP/1.1 401 ")  # without its body
        server.api("POST", maps, {"metadata": {"name": "bomb"}, "data": {"a": "x" * 200_000}}, expect=201)
        for path in ("/data/b%d", "/data/c%d"):
            bomb = [{"op": "copy", "from": "/data/a", "path": path % i} for i in range(2000)]
            server.api("PATCH", maps + "/bomb", bomb, {"Content-Type": "application/json-patch+json"}, expect=413)
        assert len(server.api("GET", maps + "/bomb", expect=200)["data"]) == 1
        for secret in [server.data_dir, *server.data_dir.iterdir()]:
            assert secret.name == "test-client.pem" or secret.stat().st_mode & 0o077 == 0, secret
    finally:
        server.stop()
