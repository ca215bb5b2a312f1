"""sluice-proxy on its own, with --static: real clients (curl, wrk, h2load, raw sockets) in front, real servers behind."""
import http.client
import http.server
import json
import os
import pathlib
import re
import signal
import socket
import subprocess
import threading
import time

import pytest

from sluiced import read_line

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
BUILD = pathlib.Path(os.environ.get("SL_BUILD", ROOT / "build-asan"))
DEADLINE_S = 20


def wait_for(condition, what):
    """The last value of the condition, once it is true."""
    limit = time.monotonic() + DEADLINE_S
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < limit, f"not in {DEADLINE_S} s: {what}"
        time.sleep(0.01)


class Backend:
    """Answers with its name; /slow only once `release` is set. Remembers the requests' headers."""

    def __init__(self, name, status=200):
        backend = self
        self.name, self.status, self.seen = name, status, []
        self.release = threading.Event()

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                length = int(self.headers.get("Content-Length", 0))
                body = self.rfile.read(length) if length else backend.name.encode()
                backend.seen.append((self.path, dict(self.headers)))
                if self.path == "/slow":
                    backend.release.wait(DEADLINE_S)
                self.send_response(backend.status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            do_POST = do_GET

            def log_message(self, *_):
                pass

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 256

        self.server = Server(("127.0.0.1", 0), Handler)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()


class Proxy:
    def __init__(self, folder, mesh, *arguments):
        self.file = folder / "mesh.json"
        self.write(mesh)
        self.log = open(folder / "proxy.log", "ab")
        self.process = subprocess.Popen(
            [str(BUILD / "src/main/sluice-proxy"), "--static", str(self.file), "--workers", "2", "--admin", "127.0.0.1:0", *arguments],
            stdout=subprocess.PIPE, stderr=self.log, text=True)
        line = read_line(self.process.stdout, DEADLINE_S)
        ready = re.match(r"ready admin=http://(\S+) listeners=(\d+) epoch=(\d+)", line or "")
        if not ready:
            self.process.kill()
            self.process.wait()
            raise AssertionError(f"no ready line but {line!r}: {pathlib.Path(self.log.name).read_text()}")
        self.admin = ready.group(1)
        self.ports = dict(re.findall(r"^(\S+)::127\.0\.0\.1:(\d+)$", self.get("/listeners"), re.M))

    def write(self, mesh):
        partial = self.file.with_suffix(".partial")
        partial.write_text(json.dumps(mesh))
        partial.rename(self.file)

    def reload(self, mesh):
        self.write(mesh)
        self.process.send_signal(signal.SIGHUP)

    def ask_admin(self, method, path):
        conn = http.client.HTTPConnection(self.admin, timeout=DEADLINE_S)
        conn.request(method, path)
        answer = conn.getresponse()
        text = answer.read().decode()
        conn.close()
        return answer.status, text

    def get(self, path):
        status, text = self.ask_admin("GET", path)
        assert status == 200, text
        return text

    def metric(self, name, **labels):
        """The sum over all series of that name with those labels."""
        total = 0
        for line in self.get(f"/stats/prometheus?filter={name.rsplit('_bucket', 1)[0]}").splitlines():
            series = re.match(rf"{name}(?:{{(.*)}})? (\d+)$", line)
            if series and all(f'{k}="{v}"' in (series.group(1) or "") for k, v in labels.items()):
                total += int(series.group(2))
        return total

    @property
    def port(self):
        return int(self.ports["web"])

    def close(self):
        if self.process.poll() is None:
            self.process.terminate()
        try:
            status = self.process.wait(DEADLINE_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise
        finally:
            self.process.stdout.close()
            self.log.close()
        assert status == 0, pathlib.Path(self.log.name).read_text()


def mesh_of(stable, canary=None, weight=50, epoch=1, guard=None, routes=()):
    def cluster(name, port):
        return {"name": name, "serviceName": "app", "serviceHost": "app.default.svc.cluster.local", "serviceNamespace": "default",
                "endpoints": [{"address": "127.0.0.1", "port": port, "workload": f"app-{name}", "version": name}]}

    splits = [{"cluster": "v1", "weight": 100 - weight if canary else 100}]
    if canary:
        splits.append({"cluster": "v2", "weight": weight, **({"guard": guard} if guard else {})})
    return {
        "epoch": epoch,
        "listeners": [{"name": "web", "address": "127.0.0.1", "direction": "gateway", "routeConfig": "web"}],
        "routeConfigs": [{"name": "web", "hosts": [
            {"name": "app", "domains": ["*"], "routes": [*routes, {"name": "all", "match": {"path": "/"}, "splits": splits}]}]}],
        "clusters": [cluster("v1", stable)] + ([cluster("v2", canary)] if canary else []),
    }


@pytest.fixture
def world(tmp_path):
    """Makes backends and proxies, and ends them."""
    class World:
        made = []

        def backend(self, *arguments):
            self.made.append(Backend(*arguments))
            return self.made[-1]

        def proxy(self, mesh, *arguments):
            self.made.append(Proxy(tmp_path, mesh, *arguments))
            return self.made[-1]

    world = World()
    world.made = []
    yield world
    for thing in reversed(world.made):
        thing.close()


def curl(port, *arguments):
    return subprocess.run(["curl", "-sS", "--max-time", str(DEADLINE_S), *arguments, f"http://127.0.0.1:{port}/"], stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, check=True).stdout


def refused(port):
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return True
    return False


def test_routes_by_header_and_adds_what_a_gateway_adds(world):
    v1, v2 = world.backend("v1"), world.backend("v2")
    jason = {"name": "jason", "match": {"path": "/", "headers": [{"name": "end-user", "value": "jason"}]},
             "splits": [{"cluster": "v2"}]}
    proxy = world.proxy(mesh_of(v1.port, v2.port, 0, routes=[jason]))
    assert curl(proxy.port) == "v1"
    assert curl(proxy.port, "-H", "End-User: jason", "-H", "X-Envoy-Trick: 1") == "v2"
    headers = {k.lower(): v for k, v in v2.seen[-1][1].items()}
    assert headers["x-forwarded-for"] == "127.0.0.1" and headers["x-forwarded-proto"] == "http"
    assert re.fullmatch(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", headers["x-request-id"])
    assert "x-envoy-trick" not in headers


def test_bodies_of_any_size_arrive_whole(world):
    v1 = world.backend("v1")
    proxy = world.proxy(mesh_of(v1.port))
    for size in (0, 1, 16000, 17000, 70000, 5_000_000):
        conn = http.client.HTTPConnection("127.0.0.1", proxy.port, timeout=DEADLINE_S)
        body = os.urandom(size) or b""
        conn.request("POST", "/", body)
        answer = conn.getresponse()
        got = answer.read()
        conn.close()
        assert got == (body or b"v1"), size


def test_reloads_under_load_lose_nothing(world):
    v1, v2 = world.backend("v1"), world.backend("v2")
    proxy = world.proxy(mesh_of(v1.port, v2.port, 10))
    load = subprocess.Popen(["wrk", "-t", "1", "-c", "16", "-d", "4s", f"http://127.0.0.1:{proxy.port}/"], stdout=subprocess.PIPE, text=True)
    for epoch in range(2, 32):  # ten times a second
        proxy.reload(mesh_of(v1.port, v2.port, epoch * 3 % 100, epoch))
        wait_for(lambda: proxy.metric("sluice_snapshot_epoch") == epoch, f"epoch {epoch}")
        time.sleep(0.1)
    text = load.communicate(timeout=DEADLINE_S)[0]
    requests = int(re.search(r"(\d+) requests in", text).group(1))
    assert requests > 100 and "Non-2xx" not in text and "Socket errors" not in text, text
    assert len(v1.seen) > 0 and len(v2.seen) > 0
    assert proxy.metric("istio_requests_total", reporter="source", response_code="200") >= requests
    assert proxy.metric("istio_requests_total", reporter="destination", destination_version="v2") > 0


def test_h2load_over_http1(world):
    proxy = world.proxy(mesh_of(world.backend("v1").port))
    text = subprocess.run(["h2load", "--h1", "-n", "2000", "-c", "20", "-m", "4", f"http://127.0.0.1:{proxy.port}/"], stdout=subprocess.PIPE,
                          text=True, check=True, timeout=60).stdout
    assert "2000 succeeded, 0 failed, 0 errored" in text, text
    wait_for(lambda: proxy.metric("istio_requests_total", reporter="source", response_code="200") == 2000, "all are counted")


def test_a_dead_canary_is_taken_back_and_no_user_notices(world):
    v1 = world.backend("v1")
    with socket.socket() as dead:
        dead.bind(("127.0.0.1", 0))
        guard = {"fallback": "v1", "rollout": "default/app", "generation": 1, "alpha": 0.01, "refusedRun": 3, "failureRun": 5}
        proxy = world.proxy(mesh_of(v1.port, dead.getsockname()[1], 50, guard=guard))
        for _ in range(60):
            assert curl(proxy.port) == "v1"
    guards = json.loads(proxy.get("/config_dump"))["guards"]
    assert [g["tripped"] for g in guards] == [True], guards
    assert proxy.metric("sluice_cluster_attempts_total", cluster="v2") < 40
    assert "guard of default/app tripped" in pathlib.Path(proxy.log.name).read_text()


def test_sigterm_lets_requests_finish(world):
    v1 = world.backend("v1")
    proxy = world.proxy(mesh_of(v1.port))
    idle = http.client.HTTPConnection("127.0.0.1", proxy.port, timeout=DEADLINE_S)
    idle.request("GET", "/")
    assert idle.getresponse().read() == b"v1"
    busy = http.client.HTTPConnection("127.0.0.1", proxy.port, timeout=DEADLINE_S)
    busy.request("GET", "/slow")
    wait_for(lambda: v1.seen[-1][0] == "/slow", "the request has reached the backend")
    proxy.process.terminate()
    assert idle.sock.recv(1) == b""  # ended at once: nobody waits for anything on it
    assert proxy.process.poll() is None
    wait_for(lambda: refused(proxy.port), "new connections are refused")
    v1.release.set()
    answer = busy.getresponse()
    assert answer.read() == b"v1" and answer.headers["connection"] == "close"
    busy.close()
    assert proxy.process.wait(DEADLINE_S) == 0


def test_access_log_as_json(world, tmp_path):
    log = tmp_path / "access.log"
    proxy = world.proxy(mesh_of(world.backend("v1").port), "--access-log", str(log), "--access-log-json", "on")
    curl(proxy.port, "-A", 'odd "agent"')
    line = json.loads(wait_for(lambda: log.exists() and log.read_text(), "a line").splitlines()[0])
    assert line["response_code"] == 200 and line["method"] == "GET" and line["path"] == "/" and line["user_agent"] == 'odd "agent"'
    assert line["upstream_cluster"] == "v1" and line["route_name"] == "all" and line["bytes_sent"] == 2


def test_admin_pages(world):
    proxy = world.proxy(mesh_of(world.backend("v1").port))
    assert proxy.get("/ready") == "LIVE\n" and proxy.get("/healthz") == "ok\n"
    assert json.loads(proxy.get("/config_dump"))["mesh"]["clusters"][0]["name"] == "v1"
    assert "v1::127.0.0.1:" in proxy.get("/clusters")
    assert proxy.ask_admin("GET", "/drain")[0] == 405 and proxy.ask_admin("GET", "/nothing")[0] == 404
    assert proxy.ask_admin("POST", "/drain")[0] == 200
    wait_for(lambda: proxy.ask_admin("GET", "/ready")[0] == 503, "not ready any more")
    assert proxy.ask_admin("POST", "/quitquitquit")[0] == 200
    assert proxy.process.wait(DEADLINE_S) == 0


def test_a_bad_file_changes_nothing(world):
    v1 = world.backend("v1")
    proxy = world.proxy(mesh_of(v1.port))
    bad = mesh_of(v1.port, epoch=2)
    bad["routeConfigs"][0]["hosts"][0]["routes"][0]["splits"][0]["cluster"] = "nowhere"
    proxy.reload(bad)
    wait_for(lambda: "nowhere" in pathlib.Path(proxy.log.name).read_text(), "it is said what is wrong")
    assert curl(proxy.port) == "v1" and proxy.metric("sluice_snapshot_epoch") == 1


@pytest.mark.parametrize("arguments, status, says", [
    ([], 2, "--xds: is required"),
    (["--static", "/nowhere/mesh.json"], 1, "/nowhere/mesh.json"),
    (["--static", "x", "--workers", "many"], 2, "a whole number"),
    (["--frobnicate"], 2, "--help lists them"),
    (["--xds", "127.0.0.1:1"], 2, "--node: is required"),
])
def test_bad_usage(arguments, status, says):
    done = subprocess.run([str(BUILD / "src/main/sluice-proxy"), *arguments, "--admin", "127.0.0.1:0"], stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True, timeout=DEADLINE_S, check=False)
    assert done.returncode == status and says in done.stderr, done.stderr


def test_help_and_version():
    for flag, says in (("--help", "--drain-timeout TIME"), ("--version", "sluice-proxy ")):
        assert says in subprocess.run([str(BUILD / "src/main/sluice-proxy"), flag], stdout=subprocess.PIPE, text=True, check=True).stdout
