"""What release tests share: a small program in several versions, its manifests, requests through the gateway, and `sluice`."""
import collections
import http.client
import json
import os
import pathlib
import subprocess
import sys
import threading
import time
import urllib.parse

from sluiced import BUILD, Sluiced, eventually

# What a version does hangs on its tag. `bad`: fails two requests of three; `deaf`: never listens; `cut`: resets every connection.
PROGRAM = '''
import http.server, os, random, signal, socket, struct, sys, threading, time

tag = sys.argv[1]
open(os.path.join(sys.argv[2], str(os.getpid())), "w").write(tag)

class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # head and body as one write
    def do_GET(self):
        if tag == "cut":
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            os.close(self.connection.detach())
            return
        if self.path == "/slow":
            time.sleep(1.5)
        body = tag.encode()
        self.send_response(500 if tag == "bad" and random.random() < 0.66 else 200)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("x-version", tag)
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *arguments):
        pass
    def log_error(self, *arguments):
        pass

class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128
    def handle_error(self, *arguments):
        pass

signal.signal(signal.SIGTERM, lambda *_: os._exit(0))  # at once: whatever was in flight is lost
if tag == "deaf":
    signal.pause()
Server(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
'''

MANIFESTS = """\
apiVersion: v1
kind: Service
metadata: {name: NAME}
spec:
  selector: {app: NAME}
  ports: [{name: http, port: 80, targetPort: http}]
---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: NAME}
spec:
  selector: {istio: ingressgateway}
  servers:
  - port: {number: 8080, name: http, protocol: HTTP}
    hosts: [NAME.test]
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: NAME}
spec:
  host: NAME
  subsets:
  - {name: stable, labels: {app: NAME}}
  - {name: canary, labels: {app: NAME}}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: NAME}
spec:
  hosts: [NAME.test]
  gateways: [NAME]
  http:
  - name: jason
    match: [{headers: {end-user: {exact: jason}}}]
    route:
    - destination: {host: NAME, subset: canary}
  - name: primary
    route:
    - {destination: {host: NAME, subset: stable}, weight: 100}
    - {destination: {host: NAME, subset: canary}, weight: 0}
---
apiVersion: argoproj.io/v1alpha1
kind: Rollout
metadata: {name: NAME}
spec:
  replicas: 1
  selector: {matchLabels: {app: NAME}}
  template:
    metadata: {labels: {app: NAME}}
    spec:
      terminationGracePeriodSeconds: 5
      containers:
      - name: main
        image: demo:v1
        command: [PYTHON, PROGRAM, "$(SLUICE_IMAGE_TAG)", PIDS]
        ports: [{name: http, containerPort: 8080}]
        readinessProbe:
          PROBE
          periodSeconds: 1
  strategy:
    canary:
      trafficRouting:
        istio:
          virtualService: {name: NAME, routes: [primary]}
          destinationRule: {name: NAME, stableSubsetName: stable, canarySubsetName: canary}
      scaleDownDelaySeconds: 1
      abortScaleDownDelaySeconds: 1
      steps: STEPS
"""

HTTP_PROBE = "httpGet: {path: /, port: http}"
NO_PROBE = "exec: {command: ['true']}"  # ready whatever it does


class App:
    """One released program: its Rollout, its processes, its answers."""

    def __init__(self, server, name, folder, steps, probe=HTTP_PROBE):
        self.server, self.name = server, name
        self.folder = pathlib.Path(folder)
        self.pids = self.folder / (name + "-pids")
        self.pids.mkdir()
        program = self.folder / (name + ".py")
        program.write_text(PROGRAM)
        self.manifest = self.folder / (name + ".yaml")
        text = MANIFESTS
        for word, value in {"PYTHON": sys.executable, "PROGRAM": str(program), "PIDS": str(self.pids), "PROBE": probe,
                            "STEPS": json.dumps(steps), "NAME": name}.items():
            text = text.replace(word, value)
        self.manifest.write_text(text)
        sluice(server, "apply", "-f", self.manifest)
        self.wait(settled)
        eventually(lambda: self.ask().status == 200)  # the gateway's listener is there too

    @property
    def path(self):
        return f"/apis/argoproj.io/v1alpha1/namespaces/default/rollouts/{self.name}"

    def get(self):
        return self.server.api("GET", self.path, expect=200)

    def wait(self, condition, seconds=20):
        """The Rollout, once condition(it) holds."""
        seen = {}

        def look():
            seen["last"] = self.get()
            return condition(seen["last"]) and seen["last"]

        try:
            return eventually(look, seconds)
        except AssertionError:
            raise AssertionError(f"not in time: {json.dumps(seen['last'].get('status'), indent=1)}\n{self.server.stderr()[-3000:]}") from None

    def ship(self, tag):
        return sluice(self.server, "rollout", "set-image", self.name, f"main=demo:{tag}")

    def rollout(self, verb, *arguments, status=0):
        return sluice(self.server, "rollout", verb, self.name, *arguments, status=status)

    def ask(self, path="/", **headers):
        return Client(self.server, self.name).ask(path, **headers)

    def count(self, requests, **headers):
        """How many of so many requests each version answered."""
        client = Client(self.server, self.name)
        return collections.Counter(client.ask("/", **headers).version for _ in range(requests))

    def processes(self, tag=None):
        """Live process ids, of one version or all."""
        return [int(f.name) for f in self.pids.iterdir() if (tag is None or f.read_text() == tag) and alive(int(f.name))]

    def delete(self):
        sluice(self.server, "delete", "rollout", self.name)
        eventually(lambda: not self.processes())


Answer = collections.namedtuple("Answer", "status version error", defaults=(None, None, None))


class Client:
    """One connection to the gateway, reopened when it broke; a broken one is an answer with `error`."""

    def __init__(self, server, name):
        self.address = urllib.parse.urlparse(server.urls["gateway"])
        self.host = f"{name}.test"
        self.connection = None

    def ask(self, path="/", **headers):
        if not self.connection:
            self.connection = http.client.HTTPConnection(self.address.hostname, self.address.port, timeout=15)
        try:
            self.connection.request("GET", path, headers={"Host": self.host, **{k.replace("_", "-"): v for k, v in headers.items()}})
            response = self.connection.getresponse()
            response.read()
            return Answer(response.status, response.headers.get("x-version"))
        except (OSError, http.client.HTTPException) as error:
            self.connection.close()
            self.connection = None
            return Answer(error=repr(error))


class Load:
    """Requests from several connections until stopped; `answers` holds (time, Answer)."""

    def __init__(self, app, path="/", connections=2, pause=0.004):
        self.answers = []
        self.stopping = threading.Event()
        self.threads = [threading.Thread(target=self.run, args=(Client(app.server, app.name), path, pause), daemon=True)
                        for _ in range(connections)]
        for thread in self.threads:
            thread.start()

    def run(self, client, path, pause):
        while not self.stopping.wait(pause):
            answer = client.ask(path)
            self.answers.append((time.time(), answer))

    def stop(self):
        self.stopping.set()
        for thread in self.threads:
            thread.join(20)
        return self.answers

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    def lost(self):
        """Answers that a version of the program did not give."""
        return [answer for _, answer in self.answers if answer.error or not answer.version]


def sluice(server, *arguments, status=0, input=None):
    """Runs the command line; fails the test when its exit status is another."""
    done = subprocess.run([str(BUILD / "src/main/sluice"), "--kubeconfig", str(server.kubeconfig), *map(str, arguments)],
                          capture_output=True, text=True, timeout=60, input=input)
    assert done.returncode == status, f"sluice {arguments}: {done.returncode}, not {status}\n{done.stdout}{done.stderr}"
    return done


def alive(pid):
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def settled(rollout):
    status = rollout.get("status", {})
    return status.get("phase") == "Healthy" and str(status.get("observedGeneration")) == str(rollout["metadata"]["generation"]) and (
        status.get("stableRS") == status.get("currentPodHash")) and rollout


def rolled_back(rollout):
    status = rollout.get("status", {})
    return status.get("abort") and status.get("phase") == "Degraded" and canary_weight(rollout) == 0


def canary_weight(rollout):
    return rollout.get("status", {}).get("canary", {}).get("weights", {}).get("canary", {}).get("weight", 0)


def at_weight(percent, paused=True):
    return lambda r: canary_weight(r) == percent and (not paused or r["status"].get("phase") == "Paused")


def server_pids(server):
    """Every process of this sluiced: its proxy, shims and workloads, by the data directory they were started with."""
    found = []
    for entry in pathlib.Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            text = (entry / "cmdline").read_bytes() + (entry / "environ").read_bytes()
        except OSError:
            continue
        if str(server.data_dir).encode() in text and alive(int(entry.name)):
            found.append(int(entry.name))
    return found


def end(server):
    """SIGTERM: everything ends, in order, and no sanitizer has anything to say."""
    assert server.stop() == 0, server.stderr()[-4000:]
    eventually(lambda: not server_pids(server))
    for log in [server.data_dir.with_name(server.data_dir.name + ".log"), *server.data_dir.rglob("*")]:
        if log.is_file() and log.suffix not in (".db", ".db-wal"):
            assert b"Sanitizer" not in log.read_bytes(), f"{log}:\n{log.read_text(errors='replace')[-3000:]}"


def start(folder):
    return Sluiced(pathlib.Path(folder) / "data", "--proxy-workers", "2")
