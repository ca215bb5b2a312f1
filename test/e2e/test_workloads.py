"""Workloads as local processes: what people do with Deployments and Pods, through kubectl, with real programs behind them."""
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import textwrap
import time
import urllib.request

import pytest

from sluiced import Kubectl, Sluiced, eventually, read_line

KUBECTL = shutil.which("kubectl")
pytestmark = pytest.mark.skipif(KUBECTL is None, reason="no kubectl here")

PROGRAM = '''
import http.server, json, os, signal, sys, threading, time

class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        ok = not (self.path == "/ready" and os.path.exists("not-ready"))
        body = json.dumps({"tag": sys.argv[1], "pid": os.getpid(), "env": dict(os.environ)}).encode()
        self.send_response(200 if ok else 503)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *arguments):
        pass

def end(*_):
    print("bye", flush=True)
    os._exit(0)

signal.signal(signal.SIGTERM, end)
print("serving", sys.argv[1], flush=True)
print("warning: a test", file=sys.stderr, flush=True)
http.server.ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
'''

WEB = """\
apiVersion: apps/v1
kind: Deployment
metadata: {name: <name>, annotations: {kubernetes.io/change-cause: first}}
spec:
  replicas: 2
  selector: {matchLabels: {app: <name>}}
  template:
    metadata: {labels: {app: <name>}}
    spec:
      terminationGracePeriodSeconds: 5
      containers:
      - name: main
        image: demo:v1
        command: [PYTHON, PROGRAM]
        args: ["$(SLUICE_IMAGE_TAG)"]
        ports: [{name: http, containerPort: 8080}, {name: m-port, containerPort: 9090}]
        env:
        - {name: GREETING, value: "hello $(POD_NAME)"}
        - name: NODE
          valueFrom: {fieldRef: {fieldPath: spec.nodeName}}
        - name: COLOUR
          valueFrom: {configMapKeyRef: {name: colours, key: colour, optional: true}}
        readinessProbe: {httpGet: {path: /ready, port: http}, periodSeconds: 1, failureThreshold: 1}
---
apiVersion: v1
kind: Service
metadata: {name: <name>}
spec:
  selector: {app: <name>}
  ports: [{name: web, port: 80, targetPort: http}, {name: metrics, port: 90, targetPort: 9090}]
"""

POD = """\
apiVersion: v1
kind: Pod
metadata: {name: <name>, labels: {app: <name>}}
spec:
  restartPolicy: POLICY
  terminationGracePeriodSeconds: 1
  containers:
  - name: main
    image: demo:v1
    command: [sh, -c, "SCRIPT"]
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    sluiced = Sluiced(tmp_path_factory.mktemp("sluiced") / "data", "--proxy", "off")
    yield sluiced
    assert sluiced.stop() == 0, sluiced.stderr()
    assert "ERROR" not in sluiced.stderr() and "runtime error" not in sluiced.stderr(), sluiced.stderr()


@pytest.fixture(scope="module")
def kubectl(server, tmp_path_factory):
    return Kubectl(KUBECTL, server.kubeconfig, tmp_path_factory.mktemp("home"))


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    path = tmp_path_factory.mktemp("program") / "web.py"
    path.write_text(textwrap.dedent(PROGRAM))
    return path


@pytest.fixture
def name(request):
    return request.node.originalname.replace("test_", "").replace("_", "-")[:40].strip("-")


@pytest.fixture
def web(kubectl, program, name):
    """A Deployment of two, rolled out, and its Service."""
    text = WEB.replace("<name>", name).replace("PYTHON", "/usr/bin/python3").replace("PROGRAM", str(program))
    kubectl("apply", "-f", "-", input=text)
    kubectl("rollout", "status", f"deployment/{name}", "--timeout=30s")
    yield name
    kubectl("delete", f"deployment/{name}", f"service/{name}", "--ignore-not-found", "--timeout=30s")


def pod(kubectl, name, script, policy="Always"):
    kubectl("apply", "-f", "-", input=POD.replace("<name>", name).replace("SCRIPT", script).replace("POLICY", policy))


def pods(kubectl, name):
    return kubectl.json("get", "pods", "-l", f"app={name}")["items"]


def slices(kubectl, name):
    return kubectl.json("get", "endpointslices", "-l", f"kubernetes.io/service-name={name}")["items"]


def ports(kubectl, name):
    """The ports of the Service's first port at its ready endpoints."""
    return sorted(s["ports"][0]["port"] for s in slices(kubectl, name) if s["endpoints"][0]["conditions"]["ready"])


def ask(port, path="/"):
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
        return json.load(answer)


def answers(kubectl, name):
    return [ask(port) for port in ports(kubectl, name)]


def pids(kubectl, name):
    """Of those that answer now; an endpoint may be ending or coming back."""
    found = []
    for port in ports(kubectl, name):
        try:
            found.append(ask(port)["pid"])
        except OSError:
            pass
    return sorted(found)


def alive(pid):
    try:
        return ") Z " not in pathlib.Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return False


def container(pod):
    return pod["status"]["containerStatuses"][0]


def events(kubectl, name, reason):
    return [e for e in kubectl.json("get", "events")["items"]
            if e["reason"] == reason and e["involvedObject"]["name"].startswith(name)]


# --- running ---


def test_a_deployment_serves(kubectl, web):
    found = answers(kubectl, web)
    assert [a["tag"] for a in found] == ["v1", "v1"]
    by_pod = {a["env"]["POD_NAME"]: a["env"] for a in found}
    for p in pods(kubectl, web):
        env = by_pod[p["metadata"]["name"]]
        first, second = [c["hostPort"] for c in p["spec"]["containers"][0]["ports"]]
        assert env["PORT"] == env["PORT_HTTP"] == str(first) and env["PORT_M_PORT"] == str(second)
        assert env["GREETING"] == "hello " + p["metadata"]["name"]
        assert env["NODE"] == p["spec"]["nodeName"] and "COLOUR" not in env
        assert p["status"]["podIP"] == p["status"]["hostIP"] == env["POD_IP"] == "127.0.0.1"
        conditions = {c["type"]: c["status"] for c in p["status"]["conditions"]}
        assert conditions["Ready"] == conditions["ContainersReady"] == conditions["PodScheduled"] == "True"
        assert container(p)["ready"] and container(p)["started"] and container(p)["restartCount"] == 0
    for s in slices(kubectl, web):
        assert [p["name"] for p in s["ports"]] == ["web", "metrics"]
        assert s["endpoints"][0]["targetRef"]["name"] in by_pod
    assert "1/1" in kubectl("get", "pods", "-l", f"app={web}") and "2/2" in kubectl("get", "deployment", web)
    assert events(kubectl, web, "Started") and events(kubectl, web, "SuccessfulCreate")


def test_services_are_in_the_environment(kubectl, web):
    kubectl("rollout", "restart", f"deployment/{web}")
    kubectl("rollout", "status", f"deployment/{web}", "--timeout=30s")
    env = answers(kubectl, web)[0]["env"]
    service = kubectl.json("get", "service", web)
    prefix = web.upper().replace("-", "_")
    assert env[f"{prefix}_SERVICE_HOST"] == service["spec"]["clusterIP"]
    assert env[f"{prefix}_SERVICE_PORT"] == env[f"{prefix}_SERVICE_PORT_WEB"] == "80"
    assert env[f"{prefix}_SERVICE_PORT_METRICS"] == "90"


def test_scaling_up_and_down(kubectl, web):
    kubectl("scale", f"deployment/{web}", "--replicas=4")
    eventually(lambda: len(ports(kubectl, web)) == 4)
    before = {a["pid"] for a in answers(kubectl, web)}
    kubectl("scale", f"deployment/{web}", "--replicas=1")
    eventually(lambda: len(pods(kubectl, web)) == 1 and len(slices(kubectl, web)) == 1)
    left = {a["pid"] for a in answers(kubectl, web)}
    assert len(left) == 1 and left < before
    eventually(lambda: not any(alive(pid) for pid in before - left))


def test_rolling_out_and_back(kubectl, web):
    first = kubectl.json("get", "replicasets", "-l", f"app={web}")["items"][0]["metadata"]["name"]
    kubectl("set", "image", f"deployment/{web}", "main=demo:v2")
    kubectl("annotate", f"deployment/{web}", "kubernetes.io/change-cause=second", "--overwrite")
    assert "successfully rolled out" in kubectl("rollout", "status", f"deployment/{web}", "--timeout=30s")
    assert {a["tag"] for a in answers(kubectl, web)} == {"v2"}
    history = kubectl("rollout", "history", f"deployment/{web}")
    assert [line.split()[0] for line in history.splitlines()[2:] if line] == ["1", "2"]
    kubectl("rollout", "undo", f"deployment/{web}")
    kubectl("rollout", "status", f"deployment/{web}", "--timeout=30s")
    assert {a["tag"] for a in answers(kubectl, web)} == {"v1"}
    sets = kubectl.json("get", "replicasets", "-l", f"app={web}")["items"]
    assert len(sets) == 2  # undo brings the first one back, under a new number
    again = next(s for s in sets if s["metadata"]["name"] == first)
    assert again["spec"]["replicas"] == 2
    assert again["metadata"]["annotations"]["deployment.kubernetes.io/revision"] == "3"


def test_nothing_is_unavailable_during_a_rollout(kubectl, web):
    """maxUnavailable 0: at every moment two ready endpoints, as anyone who watches would see them."""
    kubectl("patch", f"deployment/{web}", "-p", '{"spec":{"strategy":{"rollingUpdate":{"maxUnavailable":0,"maxSurge":1}}}}')
    watch = kubectl.start("get", "deployment", web, "-w", "-o", "jsonpath={.status.availableReplicas}{'\\n'}")
    try:
        assert read_line(watch.stdout, 20).strip() == "2"
        kubectl("set", "image", f"deployment/{web}", "main=demo:v2")
        kubectl("rollout", "status", f"deployment/{web}", "--timeout=30s")
        assert len(ports(kubectl, web)) == 2
        kubectl("scale", f"deployment/{web}", "--replicas=5")
        seen = []
        while not seen or seen[-1] != "5":
            seen.append(read_line(watch.stdout, 20).strip())
    finally:
        watch.kill()
        watch.wait()
    assert all(int(n or 0) >= 2 for n in seen), seen


def test_pause_and_resume(kubectl, web):
    kubectl("rollout", "pause", f"deployment/{web}")
    kubectl("set", "image", f"deployment/{web}", "main=demo:v2")
    generation = kubectl.json("get", "deployment", web)["metadata"]["generation"]
    eventually(lambda: kubectl.json("get", "deployment", web)["status"]["observedGeneration"] == generation)
    assert {a["tag"] for a in answers(kubectl, web)} == {"v1"}
    kubectl("scale", f"deployment/{web}", "--replicas=3")
    eventually(lambda: len(ports(kubectl, web)) == 3)
    kubectl("rollout", "resume", f"deployment/{web}")
    kubectl("rollout", "status", f"deployment/{web}", "--timeout=30s")
    assert {a["tag"] for a in answers(kubectl, web)} == {"v2"}


def test_a_version_that_never_gets_ready_takes_nothing_down(kubectl, web):
    kubectl("patch", f"deployment/{web}", "-p",
            '{"spec":{"progressDeadlineSeconds":2,"template":{"spec":{"containers":[{"name":"main","command":["false"]}]}}}}')

    def stuck():
        conditions = {c["type"]: c for c in kubectl.json("get", "deployment", web)["status"]["conditions"]}
        return conditions["Progressing"].get("reason") == "ProgressDeadlineExceeded"

    eventually(stuck)
    assert {a["tag"] for a in answers(kubectl, web)} == {"v1"} and len(ports(kubectl, web)) == 2
    assert "exceeded its progress deadline" in kubectl.fails("rollout", "status", f"deployment/{web}")
    kubectl("rollout", "undo", f"deployment/{web}")
    kubectl("rollout", "status", f"deployment/{web}", "--timeout=30s")


def test_readiness_follows_the_probe(kubectl, server, web):
    p = pods(kubectl, web)[0]
    flag = next((server.data_dir / "pods" / p["metadata"]["uid"] / "main" / "0").glob("log")).parent / "not-ready"
    flag.write_text("")
    eventually(lambda: len(ports(kubectl, web)) == 1)
    assert kubectl.json("get", "pod", p["metadata"]["name"])["status"]["phase"] == "Running"
    assert events(kubectl, p["metadata"]["name"], "Unhealthy")
    flag.unlink()
    eventually(lambda: len(ports(kubectl, web)) == 2)


def test_deleting_ends_the_processes(kubectl, web):
    before = [a["pid"] for a in answers(kubectl, web)]
    assert len(before) == 2
    kubectl("delete", f"deployment/{web}", f"service/{web}", "--timeout=30s")
    eventually(lambda: not pods(kubectl, web) and not slices(kubectl, web))
    assert not any(alive(pid) for pid in before)


def test_a_deleted_pod_is_replaced(kubectl, web):
    victim = pods(kubectl, web)[0]["metadata"]["name"]
    kubectl("delete", "pod", victim, "--timeout=30s")
    eventually(lambda: len(ports(kubectl, web)) == 2)
    assert victim not in [p["metadata"]["name"] for p in pods(kubectl, web)]


# --- logs ---


def test_logs(kubectl, web):
    one = pods(kubectl, web)[0]["metadata"]["name"]
    assert kubectl("logs", one) == "serving v1\nwarning: a test\n"
    assert kubectl("logs", one, "--tail=1") == "warning: a test\n"
    stamped = kubectl("logs", one, "--timestamps").splitlines()
    assert [line.split(" ", 1)[1] for line in stamped] == ["serving v1", "warning: a test"]
    assert all(line[:2] == "20" and line.split(" ")[0].endswith("Z") for line in stamped)
    assert "not valid for pod" in kubectl.fails("logs", one, "-c", "other")
    assert "previous terminated container" in kubectl.fails("logs", one, "--previous")


def test_following_a_log_to_its_end(kubectl, name):
    pod(kubectl, name, "i=0; while [ $i -lt 200 ]; do echo line $i; i=$((i+1)); sleep 0.005; done", policy="Never")
    eventually(lambda: kubectl.json("get", "pod", name)["status"].get("containerStatuses"))
    eventually(lambda: "waiting" not in container(kubectl.json("get", "pod", name))["state"])
    follow = kubectl.start("logs", "-f", name)
    try:
        text, _ = follow.communicate(timeout=30)
    finally:
        follow.kill()
    assert text.splitlines() == [f"line {i}" for i in range(200)]
    assert follow.returncode == 0
    eventually(lambda: kubectl.json("get", "pod", name)["status"]["phase"] == "Succeeded")
    kubectl("delete", "pod", name, "--timeout=30s")


# --- ends and restarts ---


@pytest.mark.parametrize("script, policy, phase, reason, code", [
    ("exit 0", "Never", "Succeeded", "Completed", 0),
    ("exit 7", "Never", "Failed", "Error", 7),
    ("exit 0", "OnFailure", "Succeeded", "Completed", 0),
])
def test_pods_that_end(kubectl, name, script, policy, phase, reason, code):
    pod(kubectl, name, script, policy)
    status = eventually(lambda: (s := kubectl.json("get", "pod", name)["status"])["phase"] == phase and s)
    ended = status["containerStatuses"][0]["state"]["terminated"]
    assert (ended["reason"], ended["exitCode"]) == (reason, code)
    kubectl("delete", "pod", name, "--timeout=30s")


def test_crashes_back_off(kubectl, name):
    pod(kubectl, name, "echo run of $POD_NAME; exit 3")
    crashed = eventually(lambda: (p := kubectl.json("get", "pod", name)) and container_waits(p, "CrashLoopBackOff") and p)
    assert container(crashed)["restartCount"] >= 1  # the first restart is immediate
    assert container(crashed)["lastState"]["terminated"]["exitCode"] == 3
    assert crashed["status"]["phase"] == "Running"
    assert "CrashLoopBackOff" in kubectl("get", "pod", name)
    assert kubectl("logs", name, "--previous") == f"run of {name}\n"
    assert events(kubectl, name, "BackOff")
    kubectl("delete", "pod", name, "--timeout=30s")


def container_waits(p, reason):
    statuses = p["status"].get("containerStatuses")
    return statuses and statuses[0]["state"].get("waiting", {}).get("reason") == reason


@pytest.mark.parametrize("change, reason, text", [
    ("command: []", "CreateContainerConfigError", "set command or use --runtime podman"),
    ("env: [{name: A, valueFrom: {secretKeyRef: {name: none, key: x}}}]", "CreateContainerConfigError", 'Secret "none" not found'),
])
def test_what_cannot_be_configured_says_so(kubectl, name, change, reason, text):
    body = POD.replace("<name>", name).replace("POLICY", "Always").replace("SCRIPT", "sleep 100")
    body = body.replace('    command: [sh, -c, "sleep 100"]', "    " + change) if change.startswith("command") \
        else body + "    " + change + "\n"
    kubectl("apply", "-f", "-", input=body)
    p = eventually(lambda: (p := kubectl.json("get", "pod", name)) and container_waits(p, reason) and p)
    assert text in container(p)["state"]["waiting"]["message"]
    kubectl("delete", "pod", name, "--timeout=30s")


def test_a_program_that_does_not_exist(kubectl, name):
    kubectl("apply", "-f", "-", input=POD.replace("<name>", name).replace("POLICY", "Never").replace("[sh, -c, \"SCRIPT\"]", "[no-such]"))
    p = eventually(lambda: (p := kubectl.json("get", "pod", name))["status"]["phase"] == "Failed" and p)
    ended = container(p)["state"]["terminated"]
    assert ended["reason"] == "StartError" and ended["exitCode"] == 128 and "no-such" in ended["message"]
    kubectl("delete", "pod", name, "--timeout=30s")


def test_liveness_restarts(kubectl, name):
    body = POD.replace("<name>", name).replace("POLICY", "Always").replace("SCRIPT", "exec sleep 1000")
    body += "    livenessProbe: {exec: {command: [test, -e, not-there]}, periodSeconds: 1, failureThreshold: 1}\n"
    kubectl("apply", "-f", "-", input=body)
    p = eventually(lambda: (p := kubectl.json("get", "pod", name)) and p["status"].get("containerStatuses")
                   and container(p)["restartCount"] >= 1 and p)
    assert container(p)["lastState"]["terminated"]["exitCode"] == 143
    assert events(kubectl, name, "Unhealthy") and events(kubectl, name, "Killing")
    kubectl("delete", "pod", name, "--timeout=30s")


def test_a_process_deaf_to_sigterm_is_killed(kubectl, name):
    pod(kubectl, name, "trap '' TERM; echo pid=$$$$; while :; do sleep 0.1; done")
    text = eventually(lambda: (done := kubectl.run("logs", name)).returncode == 0 and "pid=" in done.stdout and done.stdout)
    pid = int(text.split("pid=")[1].split()[0])
    begun = time.monotonic()
    kubectl("delete", "pod", name, "--timeout=30s")
    assert 1 <= time.monotonic() - begun < 15
    assert not alive(pid)


# --- sluiced's own restarts ---


def shims_of(pids):
    return [int(pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[1]) for pid in pids]


def test_kill_9_of_sluiced_leaves_all_running(kubectl, server, web):
    before = answers(kubectl, web)
    versions = {p["metadata"]["name"]: p["metadata"]["resourceVersion"] for p in pods(kubectl, web)}
    found = ports(kubectl, web)
    server.kill()
    assert sorted(ask(port)["pid"] for port in found) == sorted(a["pid"] for a in before)
    server.start()
    assert sorted(a["pid"] for a in answers(kubectl, web)) == sorted(a["pid"] for a in before)
    # Adopted, not started again: it still hears when one of them ends, and brings it back.
    assert {p["metadata"]["name"]: p["metadata"]["resourceVersion"] for p in pods(kubectl, web)} == versions
    os.kill(before[0]["pid"], signal.SIGKILL)
    eventually(lambda: before[0]["pid"] not in (now := pids(kubectl, web)) and len(now) == 2)
    restarted = [container(p) for p in pods(kubectl, web) if container(p)["restartCount"] == 1]
    assert len(restarted) == 1 and restarted[0]["lastState"]["terminated"]["exitCode"] == 137


def test_what_ended_while_sluiced_was_away_is_started_again(kubectl, server, web):
    before = answers(kubectl, web)
    server.kill()
    os.kill(before[0]["pid"], signal.SIGKILL)
    server.start()
    eventually(lambda: before[0]["pid"] not in (now := pids(kubectl, web)) and len(now) == 2)
    assert before[1]["pid"] in pids(kubectl, web)


def test_what_was_deleted_behind_its_back_is_ended(kubectl, server, web, tmp_path):
    """A Pod whose object is gone when sluiced starts: its folder alone is left."""
    before = answers(kubectl, web)
    server.kill()
    kept = server.data_dir / "state.db"
    for suffix in ("", "-wal", "-shm"):
        path = pathlib.Path(str(kept) + suffix)
        if path.exists():
            path.rename(tmp_path / path.name)
    server.start()
    try:
        eventually(lambda: not any(alive(a["pid"]) for a in before))
        eventually(lambda: not list((server.data_dir / "pods").iterdir()))
    except AssertionError:
        subprocess.run(["find", server.data_dir / "pods"])
        raise
    finally:
        server.kill()
        for path in server.data_dir.glob("state.db*"):
            path.unlink()
        for path in tmp_path.glob("state.db*"):
            path.rename(server.data_dir / path.name)
        server.start()
    eventually(lambda: len(ports(kubectl, web)) == 2)


def test_a_killed_shim_is_noticed(kubectl, web):
    before = answers(kubectl, web)
    victim = before[0]["pid"]
    os.kill(shims_of([victim])[0], signal.SIGKILL)
    eventually(lambda: not alive(victim))
    eventually(lambda: victim not in (now := pids(kubectl, web)) and len(now) == 2)
    lost = [container(p) for p in pods(kubectl, web) if container(p)["restartCount"] == 1]
    assert lost[0]["lastState"]["terminated"]["reason"] == "ContainerStatusUnknown"
