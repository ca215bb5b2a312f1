"""gRPC's own xDS client (grpcio, xds:///) is driven by our xDS server: discovery, weights changed live, removal, refusal, load reports.

Run with Debian's python3; SL_BUILD names the build folder (default build-asan).
"""
import concurrent.futures
import json
import os
import pathlib
import queue
import subprocess
import threading
import time

import grpc
import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
BUILD = pathlib.Path(os.environ.get("SL_BUILD", ROOT / "build-asan"))
LIMIT = 20.0  # seconds any one condition may take


class Backend(grpc.GenericRpcHandler):
    """Answers every unary call with its own name."""

    def __init__(self, name):
        self.name = name.encode()
        self.server = grpc.server(concurrent.futures.ThreadPoolExecutor(4))
        self.server.add_generic_rpc_handlers((self,))
        self.port = self.server.add_insecure_port("127.0.0.1:0")
        self.server.start()

    def service(self, _call):
        return grpc.unary_unary_rpc_method_handler(lambda _request, _context: self.name)


class XdsServer:
    """test/xds/server.c: meshes in, events out."""

    def __init__(self):
        self.process = subprocess.Popen(
            [BUILD / "test" / "xds_server"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
        )
        self.events = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()
        self.port = self.wait("ready")["port"]

    def _read(self):
        for line in self.process.stdout:
            self.events.put(json.loads(line))

    def wait(self, kind, **fields):
        """The next event of that kind with those fields; others are passed over."""
        end = time.monotonic() + LIMIT
        while True:
            event = self.events.get(timeout=max(0.01, end - time.monotonic()))
            if event["event"] == kind and all(event[k] == v for k, v in fields.items()):
                return event

    def publish(self, mesh):
        self.process.stdin.write(json.dumps(mesh) + "\n")
        self.process.stdin.flush()

    def stop(self):
        self.process.stdin.close()
        assert self.process.wait(LIMIT) == 0  # also: no finding of the sanitizers


def mesh(backends, weights, **route):
    """One listener for the service "reviews:9080" that splits between the backends by weight."""
    return {
        "listeners": [{"name": "out", "address": "127.0.0.1", "port": 1, "routeConfig": "out"}],
        "routeConfigs": [
            {
                "name": "out",
                "hosts": [
                    {
                        "name": "reviews",
                        "domains": ["reviews", "reviews:9080"],
                        "routes": [{"splits": [{"cluster": c, "weight": w} for c, w in weights.items()], **route}],
                    }
                ],
            }
        ],
        "clusters": [
            {"name": b, "lb": "leastRequest", "endpoints": [{"address": "127.0.0.1", "port": backends[b].port}]}
            for b in backends
        ],
    }


@pytest.fixture(scope="module")
def backends():
    all_backends = {name: Backend(name) for name in ("v1", "v2")}
    yield all_backends
    for b in all_backends.values():
        b.server.stop(None)


@pytest.fixture(scope="module")
def server():
    # One for all tests: the C core keeps one xDS client, with its first bootstrap, for the life of the process.
    s = XdsServer()
    os.environ["GRPC_XDS_BOOTSTRAP_CONFIG"] = json.dumps(
        {
            "xds_servers": [
                {
                    "server_uri": f"127.0.0.1:{s.port}",
                    "channel_creds": [{"type": "insecure"}],
                    "server_features": ["xds_v3"],
                }
            ],
            "node": {"id": "grpcio-1", "cluster": "test"},
        }
    )
    yield s
    s.stop()


@pytest.fixture
def call(server):
    channel = grpc.insecure_channel("xds:///reviews:9080")
    method = channel.unary_unary("/test.Echo/Name")
    yield lambda: method(b"", timeout=LIMIT, wait_for_ready=True).decode()
    channel.close()


def until(condition):
    end = time.monotonic() + LIMIT
    while not condition():
        assert time.monotonic() < end, "the condition did not come true in time"


def share(call, count):
    names = [call() for _ in range(count)]
    return {n: names.count(n) for n in set(names)}


def test_weights_change_live(server, backends, call):
    server.publish(mesh(backends, {"v1": 100, "v2": 0}))
    assert share(call, 50) == {"v1": 50}
    server.wait("join", node="grpcio-1")
    server.publish(mesh(backends, {"v1": 50, "v2": 50}))
    until(lambda: call() == "v2")
    counts = share(call, 400)
    assert 130 <= counts["v1"] <= 270  # binomial, 7 standard deviations
    server.publish(mesh(backends, {"v1": 0, "v2": 100}))
    until(lambda: share(call, 20) == {"v2": 20})
    assert server.wait("ack", epoch=3)["latencyNs"] > 0


def test_removal_loses_nothing(server, backends, call):
    """The cluster in use goes away while calls run: routes move first, so that none of them fails."""
    server.publish(mesh(backends, {"v1": 1}))
    until(lambda: share(call, 20) == {"v1": 20})
    stop = threading.Event()
    seen = []

    def caller():
        while not stop.is_set():
            seen.append(call())

    threads = [threading.Thread(target=caller) for _ in range(4)]
    for t in threads:
        t.start()
    for round_ in range(10):
        only = "v2" if round_ % 2 == 0 else "v1"
        server.publish(mesh({only: backends[only]}, {only: 1}))
        until(lambda: share(call, 10) == {only: 10})
    stop.set()
    for t in threads:
        t.join()  # an RpcError in a caller would have ended it early
    assert len(seen) > 100 and set(seen) == {"v1", "v2"}


def test_refusal_is_reported_and_survived(server, backends, call):
    server.publish(mesh(backends, {"v1": 1}))
    until(lambda: share(call, 20) == {"v1": 20})
    server.publish(mesh(backends, {"v2": 1}, match={"path": "/(", "pathKind": "regex"}))
    nack = server.wait("nack", node="grpcio-1")
    assert "path" in nack["text"]
    assert share(call, 20) == {"v1": 20}  # it stays with what it has
    server.publish(mesh(backends, {"v2": 1}, match={"path": "/test.Echo", "pathKind": "separatedPrefix"}))
    until(lambda: share(call, 20) == {"v2": 20})


def test_load_reports(server, backends, call):
    server.publish(mesh(backends, {"v1": 1}))
    until(lambda: share(call, 20) == {"v1": 20})
    while not server.events.empty():
        server.events.get()
    share(call, 300)
    ok = 0
    while ok < 250:  # counts of the moment before the queue was emptied may be among them, hence not exactly 300
        ok += server.wait("load", node="grpcio-1", cluster="v1")["ok"]
