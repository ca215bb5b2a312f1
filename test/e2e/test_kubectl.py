"""kubectl against sluiced: what people do with a cluster, with the kubectl at hand and, when $SL_KUBECTLS names more, with those."""
import json
import os
import re
import shutil
import socket
import stat
import subprocess

import pytest

from sluiced import Kubectl, Sluiced, eventually, read_line

KUBECTLS = [k for k in [shutil.which("kubectl"), *os.environ.get("SL_KUBECTLS", "").split(":")] if k]

DEPLOYMENT = """\
apiVersion: apps/v1
kind: Deployment
metadata:
  name: NAME
  labels: {app: NAME}
spec:
  replicas: 2
  selector: {matchLabels: {app: NAME}}
  template:
    metadata: {labels: {app: NAME}}
    spec:
      containers:
      - name: main
        image: demo:v1
        ports: [{containerPort: 8080}]
        env:
        - {name: COLOUR, value: blue}
"""

CONFIG_MAP = """\
apiVersion: v1
kind: ConfigMap
metadata: {name: NAME, labels: {tier: test}}
data: {colour: blue}
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    sluiced = Sluiced(tmp_path_factory.mktemp("sluiced") / "data", "--runtime", "none", "--proxy", "off")
    yield sluiced
    assert sluiced.stop() == 0, sluiced.stderr()


@pytest.fixture(scope="module", params=KUBECTLS or [None], ids=lambda k: k or "none")
def kubectl(request, server, tmp_path_factory):
    if request.param is None:
        pytest.skip("no kubectl here")
    return Kubectl(request.param, server.kubeconfig, tmp_path_factory.mktemp("home"))


@pytest.fixture
def name(request, kubectl):
    """A name of the test's own, in each kubectl's run."""
    return f"{request.node.originalname.replace('_', '-')}-{kubectl.minor}"[-50:].strip("-")


def deployment(kubectl, name, text=DEPLOYMENT):
    kubectl("apply", "-f", "-", input=text.replace("NAME", name))
    return f"deployment/{name}"


# --- the server ---


def test_kubeconfig_is_private(server):
    assert stat.S_IMODE(server.kubeconfig.stat().st_mode) == 0o600
    assert stat.S_IMODE(server.data_dir.stat().st_mode) == 0o700


@pytest.mark.parametrize("path, status", [
    ("/healthz", 200), ("/readyz", 200), ("/livez", 200), ("/version", 200), ("/api", 200), ("/apis/apps/v1", 200),
    ("/api/v1/pods", 401), ("/metrics", 401), ("/openapi/v2", 401), ("/", 401), ("/nonsense", 401),
    ("/api/v1/namespaces/default/secrets/x", 401)])
def test_what_anybody_may_ask(server, path, status):
    got, headers, text = server.request("GET", path, with_certificate=False)
    assert got == status
    if status == 401:
        answer = json.loads(text)
        assert (answer["kind"], answer["reason"], answer["code"]) == ("Status", "Unauthorized", 401)


@pytest.mark.parametrize("method, path, body, headers, code, reason, text", [
    ("GET", "/nonsense", None, {}, 404, "NotFound", "could not find the requested resource"),
    ("GET", "/api/v1/nonsense", None, {}, 404, "NotFound", "could not find"),
    ("GET", "/apis/apps/v2/deployments", None, {}, 404, "NotFound", "could not find"),
    ("GET", "/api/v1/namespaces/default/configmaps/none", None, {}, 404, "NotFound", 'configmaps "none" not found'),
    ("GET", "/apis/apps/v1/namespaces/x/deployments/none", None, {}, 404, "NotFound", 'deployments.apps "none" not found'),
    ("GET", "/api/v1/pods/p", None, {}, 404, "NotFound", "could not find"),
    ("GET", "/api/v1/configmaps?limit=x", None, {}, 400, "BadRequest", "limit"),
    ("GET", "/api/v1/configmaps?labelSelector=a%20b", None, {}, 400, "BadRequest", ""),
    ("GET", "/api/v1/configmaps?fieldSelector=spec.nonsense%3Dx", None, {}, 400, "BadRequest", ""),
    ("GET", "/api/v1/configmaps?continue=abc", None, {}, 410, "Expired", "start the list anew"),
    ("GET", "/api/v1/configmaps?watch=1&resourceVersion=abc", None, {}, 400, "BadRequest", "resourceVersion"),
    ("GET", "/api/v1/configmaps", None, {"Accept": "application/xml"}, 406, "NotAcceptable", "application/json"),
    ("PUT", "/api/v1/configmaps", {}, {}, 405, "MethodNotAllowed", ""),
    ("POST", "/api/v1/configmaps", {"metadata": {"name": "a"}}, {}, 405, "MethodNotAllowed", ""),
    ("DELETE", "/api/v1/configmaps", None, {}, 405, "MethodNotAllowed", ""),
    ("POST", "/version", {}, {}, 405, "MethodNotAllowed", ""),
    ("POST", "/api/v1/namespaces/default/configmaps", "{", {}, 400, "BadRequest", "not JSON"),
    ("POST", "/api/v1/namespaces/default/configmaps", "[]", {}, 400, "BadRequest", "not an object"),
    ("POST", "/api/v1/namespaces/default/configmaps", "x", {"Content-Type": "text/plain"}, 415, "UnsupportedMediaType", ""),
    ("POST", "/api/v1/namespaces/default/configmaps", "k8s", {"Content-Type": "application/vnd.kubernetes.protobuf"}, 415,
     "UnsupportedMediaType", "only JSON and YAML"),
    ("POST", "/api/v1/namespaces/default/configmaps", {"kind": "Pod", "apiVersion": "v1"}, {}, 400, "BadRequest", "own URL"),
    ("POST", "/api/v1/namespaces/default/configmaps", {"metadata": {"name": "A b"}}, {}, 422, "Invalid", "metadata.name"),
    ("POST", "/api/v1/namespaces/none/configmaps", {"metadata": {"name": "a"}}, {}, 404, "NotFound", '"none" not found'),
    ("PATCH", "/api/v1/namespaces/default/configmaps/kube", {}, {"Content-Type": "application/json"}, 415,
     "UnsupportedMediaType", "application/merge-patch+json"),
    ("DELETE", "/api/v1/namespaces/default", None, {}, 403, "Forbidden", "may not be deleted"),
    ("DELETE", "/api/v1/namespaces/default/configmaps/none", None, {}, 404, "NotFound", ""),
    ("GET", "/api/v1/namespaces/default/pods/none/log", None, {}, 404, "NotFound", 'pods "none" not found'),
])
def test_errors_say_what_is_wrong(server, method, path, body, headers, code, reason, text):
    status, _, answer = server.request(method, path, body, headers)
    answer = json.loads(answer)
    assert (status, answer["kind"], answer["status"], answer["code"], answer["reason"]) == (code, "Status", "Failure", code, reason)
    assert text in answer["message"]


def test_too_large_a_body(server):
    body = json.dumps({"metadata": {"name": "big"}, "data": {"a": "x" * (3 << 20)}})
    assert server.request("POST", "/api/v1/namespaces/default/configmaps", body)[0] == 413


def test_strict_warn_ignore(server):
    body = {"metadata": {"name": "fields"}, "data": {}, "dat": {}}
    path = "/api/v1/namespaces/default/configmaps?dryRun=All"
    status, headers, text = server.request("POST", path + "&fieldValidation=Strict", body)
    assert status == 400
    assert 'strict decoding error' in json.loads(text)["message"] and '"dat"' in json.loads(text)["message"]
    for query in ("", "&fieldValidation=Warn"):
        status, headers, text = server.request("POST", path + query, body)
        assert status == 201 and headers["Warning"].startswith('299 - "unknown field \\"dat\\"')
        assert "dat" not in json.loads(text)
    status, headers, text = server.request("POST", path + "&fieldValidation=Ignore", body)
    assert status == 201 and headers["Warning"] is None

    twice = '{"metadata": {"name": "twice"}, "data": {"a": "1"}, "data": {"a": "2"}}'
    assert server.request("POST", path + "&fieldValidation=Strict", twice)[0] == 400
    status, headers, text = server.request("POST", path, twice)
    assert status == 201 and "data" in headers["Warning"] and json.loads(text)["data"] == {"a": "2"}


def test_yaml_bodies(server):
    text = "metadata:\n  name: from-yaml\ndata:\n  a: b\n"
    status, _, _ = server.request("POST", "/api/v1/namespaces/default/configmaps?dryRun=All", text,
                                  {"Content-Type": "application/yaml"})
    assert status == 201


def test_watch_events_and_bookmarks(server):
    path = "/api/v1/namespaces/default/configmaps"
    server.request("DELETE", path + "/seen")
    version = server.api("GET", path)["metadata"]["resourceVersion"]
    made = server.api("POST", path, {"metadata": {"name": "seen", "labels": {"a": "1"}}}, expect=201)
    server.api("PATCH", path + "/seen", {"metadata": {"labels": {"a": "2"}}}, {"Content-Type": "application/merge-patch+json"},
               expect=200)
    server.api("DELETE", path + "/seen", expect=200)

    def events(query):
        text = server.request("GET", f"{path}?watch=1&timeoutSeconds=1&{query}")[2]
        return [(e["type"], e["object"]) for e in map(json.loads, text.splitlines())]

    types = [(t, o["metadata"]["name"]) for t, o in events(f"resourceVersion={version}")]
    assert types == [("ADDED", "seen"), ("MODIFIED", "seen"), ("DELETED", "seen")]
    selected = events(f"resourceVersion={version}&labelSelector=a%3D1")
    assert [t for t, _ in selected] == ["ADDED", "DELETED"]  # it left the selection
    assert int(selected[1][1]["metadata"]["resourceVersion"]) > int(made["metadata"]["resourceVersion"])
    assert selected[1][1]["metadata"]["labels"] == {"a": "1"}
    last = events(f"resourceVersion={version}&allowWatchBookmarks=true&fieldSelector=metadata.name%3Dnone")
    assert [t for t, _ in last] == ["BOOKMARK"]
    first = events("sendInitialEvents=true&allowWatchBookmarks=true&resourceVersionMatch=NotOlderThan")
    assert first[-1][0] == "BOOKMARK"
    assert any(o["metadata"].get("annotations", {}).get("k8s.io/initial-events-end") == "true" for _, o in first)


def raw_request(server, method, path, body=b""):
    """A TLS socket with the request sent and nothing read."""
    plain = socket.socket()
    plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)  # so that what is not read stays with the server
    plain.connect((server.host, server.port))
    connection = server.tls().wrap_socket(plain, server_hostname=server.host)
    connection.sendall(f"{method} {path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
                       f"Content-Length: {len(body)}\r\n\r\n".encode() + body)
    connection.settimeout(30)
    return connection


def test_a_slow_watcher_misses_nothing(server):
    path = "/api/v1/namespaces/default/configmaps"
    version = server.api("POST", path, {"metadata": {"name": "slow"}}, expect=201)["metadata"]["resourceVersion"]
    slow = raw_request(server, "GET", f"{path}?watch=1&resourceVersion={version}&fieldSelector=metadata.name%3Dslow")
    count = 120  # more than the server queues for one client, less than its history
    for n in range(count):
        server.api("PUT", path + "/slow", {"metadata": {"name": "slow"}, "data": {"n": str(n), "fill": "x" * 60000}}, expect=200)
    text = b""
    while text.count(b'"MODIFIED"') < count or not text.endswith(b"\n\r\n"):
        piece = slow.recv(1 << 20)
        assert piece, text[-300:]
        text += piece
    slow.close()
    assert [int(n) for n in re.findall(rb'"n":"(\d+)"', text)] == list(range(count))
    server.api("DELETE", path + "/slow", expect=200)


def test_clients_that_leave(server):
    path = "/api/v1/namespaces/default/configmaps"
    for n in range(20):
        body = json.dumps({"metadata": {"name": f"leaving-{n}"}}).encode()
        raw_request(server, "POST", path, body).close()
        raw_request(server, "GET", path + "?watch=1").close()
        raw_request(server, "DELETE", f"{path}/leaving-{n}").close()
        raw_request(server, "GET", path + "/slow/revisions").close()
    eventually(lambda: "\nsluice_api_watches 0\n" in server.request("GET", "/metrics")[2])
    server.api("DELETE", path, expect=200)


def test_versions_of_a_kind(server):
    path = "/apis/networking.istio.io/{}/namespaces/default/virtualservices"
    body = {"metadata": {"name": "versions"}, "spec": {"hosts": ["a"], "http": [{"route": [{"destination": {"host": "a"}}]}]}}
    made = server.api("POST", path.format("v1beta1"), body, expect=201)
    assert made["apiVersion"] == "networking.istio.io/v1beta1"
    for version in ("v1", "v1beta1", "v1alpha3"):
        got = server.api("GET", path.format(version) + "/versions", expect=200)
        listed = server.api("GET", path.format(version), expect=200)
        assert got["apiVersion"] == listed["apiVersion"] == f"networking.istio.io/{version}"
        assert all(item["apiVersion"] == got["apiVersion"] for item in listed["items"])
    server.api("DELETE", path.format("v1") + "/versions", expect=200)


def test_revisions(server):
    path = "/api/v1/namespaces/default/services"
    server.api("POST", path, {"metadata": {"name": "rev"}, "spec": {"ports": [{"port": 81}]}}, expect=201)
    for port in (82, 83):
        server.api("PATCH", path + "/rev", [{"op": "replace", "path": "/spec/ports/0/port", "value": port}],
                   {"Content-Type": "application/json-patch+json"}, expect=200)
    kept = server.api("GET", path + "/rev/revisions", expect=200)["items"]
    assert [r["spec"]["ports"][0]["port"] for r in kept] == [81, 82, 83]
    one = server.api("GET", path + "/rev/revisions?version=" + kept[1]["metadata"]["resourceVersion"], expect=200)["items"]
    assert one == [kept[1]]
    server.api("DELETE", path + "/rev", expect=200)
    assert server.request("GET", path + "/rev/revisions")[0] == 404


def test_delete_collection(server):
    path = "/api/v1/namespaces/default/configmaps"
    for n, label in enumerate("aab"):
        server.api("POST", path, {"metadata": {"name": f"many-{n}", "labels": {"many": label}}}, expect=201)
    server.api("DELETE", path + "?labelSelector=many%3Da", expect=200)
    left = server.api("GET", path + "?labelSelector=many")["items"]
    assert [o["metadata"]["name"] for o in left] == ["many-2"]
    server.api("DELETE", path + "?labelSelector=many", expect=200)


def test_metrics(server):
    text = server.request("GET", "/metrics")[2]
    assert "sluice_store_writes_total " in text and 'sluice_api_requests_total{code="2xx"} ' in text


# --- kubectl: looking ---


def test_get_forms(kubectl, name):
    deployment(kubectl, name)
    lines = kubectl("get", "deployments", name).splitlines()
    assert lines[0].split() == ["NAME", "READY", "UP-TO-DATE", "AVAILABLE", "AGE"] and lines[1].split()[0] == name
    wide = kubectl("get", "deploy", name, "-o", "wide")
    assert "CONTAINERS" in wide and "demo:v1" in wide
    assert kubectl("get", "deploy", name, "-o", "name") == f"deployment.apps/{name}\n"
    assert "kind: Deployment" in kubectl("get", "deploy", name, "-o", "yaml")
    assert kubectl.json("get", "deploy", name)["spec"]["replicas"] == 2
    assert kubectl("get", "deploy", name, "-o", "jsonpath={.metadata.generation}") == "1"
    assert name in kubectl("get", "deploy", "-A", "-l", f"app={name}")
    assert "No resources found" in kubectl.run("get", "deploy", "-l", "app=none").stderr
    assert name in kubectl("get", "deploy", "--field-selector", f"metadata.name={name}")
    assert name in kubectl("get", "deploy", "--sort-by", ".metadata.name")
    assert name in kubectl("get", "deploy", name, "--show-labels", "--no-headers")
    assert "NotFound" in kubectl.fails("get", "deploy", "none")


def test_get_watches(kubectl, name):
    watch = kubectl.start("get", "configmaps", "-w", "-l", "tier=test")
    try:
        kubectl("apply", "-f", "-", input=CONFIG_MAP.replace("NAME", name))
        seen = []
        while not any(name in line for line in seen):
            line = read_line(watch.stdout, 20)
            assert line is not None, seen
            seen.append(line)
        assert seen[0].split() == ["NAME", "DATA", "AGE"]
    finally:
        watch.kill()
        watch.wait()
        watch.stdout.close()


def test_describe(kubectl, server, name):
    deployment(kubectl, name)
    text = kubectl("describe", "deployment", name)
    assert "demo:v1" in text and re.search(r"COLOUR: +blue", text)
    uid = kubectl.json("get", "deploy", name)["metadata"]["uid"]
    server.api("POST", "/api/v1/namespaces/default/events", {
        "metadata": {"generateName": "e-"}, "type": "Normal", "reason": "Tested", "message": "a test looked at it", "count": 3,
        "involvedObject": {"kind": "Deployment", "apiVersion": "apps/v1", "name": name, "namespace": "default", "uid": uid},
        "firstTimestamp": "2026-01-01T00:00:00Z", "lastTimestamp": "2026-01-01T00:00:00Z"}, expect=201)
    assert "a test looked at it" in kubectl("describe", "deployment", name)
    assert "a test looked at it" in kubectl("get", "events")


def test_discovery(kubectl):
    resources = kubectl("api-resources")
    for word in ("deployments", "deploy", "virtualservices", "vs", "rollouts", "httproutes", "endpointslices"):
        assert any(word in line.split() or word in line.split()[1:2] for line in resources.splitlines()) or word in resources
    assert "networking.istio.io/v1beta1" in kubectl("api-versions")
    assert "v1.32" in kubectl.run("version").stdout


def test_explain(kubectl):
    assert "replicas" in kubectl("explain", "deployment.spec")
    assert "weight" in kubectl("explain", "virtualservice.spec.http.route")


# --- kubectl: changing ---


def test_apply_again(kubectl, name):
    text = DEPLOYMENT.replace("NAME", name)
    assert "created" in kubectl("apply", "-f", "-", input=text)
    assert "unchanged" in kubectl("apply", "-f", "-", input=text)
    assert "configured" in kubectl("apply", "-f", "-", input=text.replace("blue", "green"))
    got = kubectl.json("get", "deploy", name)
    assert got["spec"]["template"]["spec"]["containers"][0]["env"] == [{"name": "COLOUR", "value": "green"}]
    assert got["metadata"]["generation"] == 2
    assert "configured" in kubectl("apply", "-f", "-", input=text.replace("        env:\n        - {name: COLOUR, value: blue}\n", ""))
    assert "env" not in kubectl.json("get", "deploy", name)["spec"]["template"]["spec"]["containers"][0]
    assert "deleted" in kubectl("delete", "-f", "-", input=text)
    assert "NotFound" in kubectl.fails("get", "deploy", name)


def test_apply_server_side(kubectl, name):
    text = CONFIG_MAP.replace("NAME", name)
    assert "serverside-applied" in kubectl("apply", "--server-side", "-f", "-", input=text)
    version = kubectl.json("get", "cm", name)["metadata"]["resourceVersion"]
    kubectl("apply", "--server-side", "-f", "-", input=text)
    assert kubectl.json("get", "cm", name)["metadata"]["resourceVersion"] == version
    conflict = kubectl.fails("apply", "--server-side", "--field-manager", "other", "-f", "-", input=text.replace("blue", "red"))
    assert "conflict" in conflict and "kubectl" in conflict
    kubectl("apply", "--server-side", "--field-manager", "other", "--force-conflicts", "-f", "-", input=text.replace("blue", "red"))
    assert kubectl.json("get", "cm", name)["data"] == {"colour": "red"}


def test_create_and_replace(kubectl, name):
    text = CONFIG_MAP.replace("NAME", name)
    assert "created" in kubectl("create", "-f", "-", input=text)
    assert "AlreadyExists" in kubectl.fails("create", "-f", "-", input=text)
    assert "replaced" in kubectl("replace", "-f", "-", input=text.replace("blue", "red"))
    stale = kubectl.json("get", "cm", name)
    kubectl("label", "cm", name, "a=b")
    stale["data"]["colour"] = "pink"
    error = kubectl.fails("replace", "-f", "-", input=json.dumps(stale))
    assert "Conflict" in error and "the object has been modified" in error


def test_three_patches(kubectl, name):
    target = deployment(kubectl, name)
    kubectl("patch", target, "-p", '{"spec":{"template":{"spec":{"containers":[{"name":"main","image":"demo:v2"}]}}}}')
    container = kubectl.json("get", target)["spec"]["template"]["spec"]["containers"]
    assert len(container) == 1 and container[0]["image"] == "demo:v2" and container[0]["env"]
    kubectl("patch", target, "--type", "merge", "-p", '{"spec":{"replicas":3}}')
    kubectl("patch", target, "--type", "json", "-p", '[{"op":"replace","path":"/spec/minReadySeconds","value":4}]'
            if kubectl.json("get", target)["spec"].get("minReadySeconds") is not None
            else '[{"op":"add","path":"/spec/minReadySeconds","value":4}]')
    spec = kubectl.json("get", target)["spec"]
    assert (spec["replicas"], spec["minReadySeconds"]) == (3, 4)
    assert "no change" in kubectl("patch", target, "--type", "merge", "-p", '{"spec":{"replicas":3}}')
    assert "Invalid" in kubectl.fails("patch", target, "--type", "json", "-p", '[{"op":"remove","path":"/spec/none"}]') \
        or "invalid" in kubectl.fails("patch", target, "--type", "json", "-p", '[{"op":"remove","path":"/spec/none"}]')


def test_strategic_patch_of_a_custom_kind(kubectl, name):
    kubectl("apply", "-f", "-", input=f"""\
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: {name}}}
spec: {{hosts: [a], http: [{{route: [{{destination: {{host: a}}}}]}}]}}
""")
    assert "application/merge-patch+json" in kubectl.fails("patch", "vs", name, "--type", "strategic", "-p", '{"spec":{"hosts":["b"]}}')
    kubectl("patch", "vs", name, "--type", "merge", "-p", '{"spec":{"hosts":["b"]}}')
    assert kubectl.json("get", "vs", name)["spec"]["hosts"] == ["b"]


def test_label_annotate(kubectl, name):
    target = deployment(kubectl, name)
    assert "labeled" in kubectl("label", target, "team=blue")
    assert kubectl.fails("label", target, "team=red")
    kubectl("label", target, "team=red", "--overwrite")
    kubectl("annotate", target, "example.com/why=a test")
    metadata = kubectl.json("get", target)["metadata"]
    assert metadata["labels"]["team"] == "red" and metadata["annotations"]["example.com/why"] == "a test"
    assert metadata["generation"] == 1
    kubectl("label", target, "team-")
    assert "team" not in kubectl.json("get", target)["metadata"]["labels"]


def test_scale_and_set_image(kubectl, server, name):
    target = deployment(kubectl, name)
    kubectl("scale", target, "--replicas", "5")
    assert kubectl.fails("scale", target, "--replicas", "7", "--current-replicas", "2")
    kubectl("set", "image", target, "main=demo:v9")
    kubectl("set", "env", target, "COLOUR=red")
    spec = kubectl.json("get", target)["spec"]
    assert spec["replicas"] == 5
    assert spec["template"]["spec"]["containers"][0]["image"] == "demo:v9"
    assert spec["template"]["spec"]["containers"][0]["env"] == [{"name": "COLOUR", "value": "red"}]
    scale = server.api("GET", f"/apis/apps/v1/namespaces/default/deployments/{name}/scale", expect=200)
    assert (scale["kind"], scale["spec"]["replicas"], scale["status"]["selector"]) == ("Scale", 5, f"app={name}")


def test_edit(kubectl, name):
    target = deployment(kubectl, name)
    assert "edited" in kubectl("edit", target, env={"KUBE_EDITOR": "sed -i s/blue/edited/"})
    assert kubectl.json("get", target)["spec"]["template"]["spec"]["containers"][0]["env"][0]["value"] == "edited"


def test_diff(kubectl, name):
    deployment(kubectl, name)
    same = kubectl.run("diff", "-f", "-", input=DEPLOYMENT.replace("NAME", name))
    assert same.returncode == 0, same.stdout + same.stderr
    other = kubectl.run("diff", "-f", "-", input=DEPLOYMENT.replace("NAME", name).replace("blue", "green"))
    assert other.returncode == 1 and "green" in other.stdout
    assert kubectl.json("get", "deploy", name)["metadata"]["generation"] == 1


def test_dry_run_server(kubectl, name):
    text = CONFIG_MAP.replace("NAME", name)
    assert "server dry run" in kubectl("apply", "--dry-run=server", "-f", "-", input=text)
    assert "NotFound" in kubectl.fails("get", "cm", name)


def test_wait(kubectl, server, name):
    kubectl("apply", "-f", "-", input=CONFIG_MAP.replace("NAME", name))

    def watches():
        return int(re.search(r"^sluice_api_watches (\d+)", server.request("GET", "/metrics")[2], re.M).group(1))

    before = watches()
    waiting = kubectl.start("wait", "--for=delete", f"configmap/{name}", "--timeout=30s")
    eventually(lambda: watches() > before)  # an old kubectl fails when there is nothing to wait for
    kubectl("delete", "cm", name)
    assert waiting.wait(30) == 0, waiting.stdout.read()
    waiting.stdout.close()


def test_rollout_history(kubectl, name):
    target = deployment(kubectl, name)
    done = kubectl.run("rollout", "history", target)
    assert done.returncode == 0 and name in done.stdout, done.stderr
    kubectl("rollout", "restart", target)
    assert "kubectl.kubernetes.io/restartedAt" in kubectl.json("get", target)["spec"]["template"]["metadata"]["annotations"]
    kubectl("rollout", "pause", target)
    assert kubectl.json("get", target)["spec"]["paused"] is True
    kubectl("rollout", "resume", target)
    assert not kubectl.json("get", target)["spec"].get("paused")


def test_delete_waits_for_finalizers(kubectl, name):
    kubectl("apply", "-f", "-", input=CONFIG_MAP.replace("NAME", name).replace("labels:", "finalizers: [example.com/hold], labels:"))
    deleting = kubectl.start("delete", "cm", name, "--timeout=30s")
    eventually(lambda: kubectl.json("get", "cm", name)["metadata"].get("deletionTimestamp"))
    kubectl("patch", "cm", name, "--type", "merge", "-p", '{"metadata":{"finalizers":null}}')
    assert deleting.wait(30) == 0, deleting.stdout.read()
    deleting.stdout.close()


def test_namespaces(kubectl, name):
    kubectl("apply", "-f", "-", input=f"apiVersion: v1\nkind: Namespace\nmetadata: {{name: {name}}}\n")
    kubectl("-n", name, "apply", "-f", "-", input=CONFIG_MAP.replace("NAME", "inside"))
    assert "Active" in kubectl("get", "ns", name)
    kubectl("delete", "ns", name, "--timeout=30s")
    assert "NotFound" in kubectl.fails("get", "ns", name)
    assert "Forbidden" in kubectl.fails("delete", "ns", "default")
    assert "NotFound" in kubectl.fails("-n", name, "create", "-f", "-", input=CONFIG_MAP.replace("NAME", "inside"))


# --- kubectl: mistakes ---


@pytest.mark.parametrize("find, put, names", [
    ("replicas: 2", "replica: 2", ["replica"]),
    ("replicas: 2", "replicas: two", ["replicas"]),
    ("containerPort: 8080", "containerPort: 99999", ["containerPort"]),
    ("image: demo:v1", "imag: demo:v1", ["imag"]),
])
def test_mistakes_are_named(kubectl, name, find, put, names):
    error = kubectl.fails("apply", "-f", "-", input=DEPLOYMENT.replace("NAME", name).replace(find, put))
    assert all(n in error for n in names), error
    assert "NotFound" in kubectl.fails("get", "deploy", name)


@pytest.mark.parametrize("find, put, names", [
    ("replicas: 2", "replica: 2", ['"spec.replica"']),
    ("replicas: 2", "replicas: two", ["spec.replicas"]),
    ("containerPort: 8080", "containerPort: 99999", ["spec.template.spec.containers[0].ports[0].containerPort"]),
])
def test_the_server_names_mistakes_too(kubectl, server, name, find, put, names):
    status, _, text = server.request("POST", "/apis/apps/v1/namespaces/default/deployments?fieldValidation=Strict",
                                     DEPLOYMENT.replace("NAME", name).replace(find, put), {"Content-Type": "application/yaml"})
    answer = json.loads(text)
    assert status in (400, 422) and all(n in answer["message"] for n in names), answer
    assert answer["details"]["causes"][0]["field"]


def test_typed_create(kubectl, name):
    """kubectl >= 1.32 sends protobuf here; the answer must say what to do."""
    done = kubectl.run("create", "configmap", name, "--from-literal=a=b")
    if kubectl.minor < 32:
        assert done.returncode == 0, done.stderr
    else:
        assert done.returncode != 0 and "kubectl apply -f" in done.stderr
    assert "created" in kubectl("create", "configmap", name + "-x", "--from-literal=a=b", "--dry-run=client") \
        or kubectl.minor >= 32


def test_logs_without_a_runtime(kubectl, name):
    kubectl("apply", "-f", "-", input=f"""\
apiVersion: v1
kind: Pod
metadata: {{name: {name}}}
spec: {{containers: [{{name: main, image: demo}}]}}
""")
    assert "--runtime none" in kubectl.fails("logs", name)
    kubectl("delete", "pod", name)


# --- with Pods that run ---


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    sluiced = Sluiced(tmp_path_factory.mktemp("running") / "data", "--proxy", "off")
    yield sluiced
    sluiced.api("DELETE", "/apis/apps/v1/namespaces/default/deployments", expect=200)
    eventually(lambda: not sluiced.api("GET", "/api/v1/pods")["items"])
    assert sluiced.stop() == 0, sluiced.stderr()


@pytest.mark.parametrize("binary", KUBECTLS)
def test_a_deployment_runs(running, binary, tmp_path):
    kubectl = Kubectl(binary, running.kubeconfig, tmp_path)
    name = f"web-{kubectl.minor}"
    command = "trap 'exit 0' TERM; i=0; while :; do i=$((i+1)); echo line $i of $SLUICE_IMAGE_TAG; sleep 0.05; done"
    text = DEPLOYMENT.replace("NAME", name).replace("image: demo:v1", f"image: demo:v1\n        command: [sh, -c, {json.dumps(command)}]")
    target = deployment(kubectl, name, text)
    assert "successfully rolled out" in kubectl("rollout", "status", target, "--timeout=30s")
    kubectl("wait", "--for=condition=Available", target, "--timeout=30s")
    first = [rs["metadata"]["name"] for rs in kubectl.json("get", "rs", "-l", f"app={name}")["items"]]
    assert len(first) == 1
    assert re.search(r"line \d+ of v1", kubectl("logs", target, "--tail=2"))
    follow = kubectl.start("logs", "-f", target, "--tail=1")
    try:
        lines = [line for line in (read_line(follow.stdout, 20) for _ in range(4)) if line and line.startswith("line")]
        assert len(lines) >= 3 and lines == sorted(lines, key=lambda line: int(line.split()[1]))
    finally:
        follow.kill()
        follow.wait()
        follow.stdout.close()

    kubectl("set", "image", target, "main=demo:v2")
    kubectl("rollout", "status", target, "--timeout=30s")
    eventually(lambda: "of v2" in kubectl("logs", target, "--tail=1"))
    history = kubectl("rollout", "history", target)
    assert [line.split()[0] for line in history.splitlines() if line[:1].isdigit()] == ["1", "2"]
    kubectl("rollout", "undo", target)
    kubectl("rollout", "status", target, "--timeout=30s")
    now = {rs["metadata"]["name"]: rs["spec"]["replicas"] for rs in kubectl.json("get", "rs", "-l", f"app={name}")["items"]}
    assert len(now) == 2 and now[first[0]] == 2  # back on the ReplicaSet it had, not on a third

    kubectl("scale", target, "--replicas=1")
    eventually(lambda: len(kubectl.json("get", "pods", "-l", f"app={name}")["items"]) == 1)
    assert "Scaled" in kubectl("describe", target)
    kubectl("delete", target)
    eventually(lambda: not kubectl.json("get", "pods,rs", "-l", f"app={name}")["items"])


# --- crashes ---


def test_what_was_acknowledged_survives_kill_9(tmp_path):
    sluiced = Sluiced(tmp_path / "data", "--runtime", "none", "--proxy", "off")
    path = "/api/v1/namespaces/default/configmaps"
    for n in range(30):
        sluiced.api("POST", path, {"metadata": {"name": f"n{n}"}}, expect=201)
    before = sluiced.api("GET", path)
    sluiced.kill()
    sluiced.start()
    after = sluiced.api("GET", path)
    assert {o["metadata"]["name"]: o["metadata"]["uid"] for o in before["items"]} == \
        {o["metadata"]["name"]: o["metadata"]["uid"] for o in after["items"]}
    status, _, text = sluiced.request("GET", path + "?watch=1&resourceVersion=1")
    assert status == 410 and json.loads(text)["reason"] == "Expired"
    assert sluiced.stop() == 0


def test_two_on_one_directory(tmp_path):
    sluiced = Sluiced(tmp_path / "data", "--runtime", "none", "--proxy", "off")
    second = subprocess.run([sluiced.process.args[0], "--data-dir", str(tmp_path / "data"), "--listen", "127.0.0.1:0"],
                            capture_output=True, text=True, timeout=60)
    assert second.returncode == 1 and "is sluiced running already?" in second.stderr
    assert sluiced.stop() == 0


@pytest.mark.parametrize("arguments, text", [
    ([], "--data-dir is required"), (["--data-dir", "/tmp/x", "--store", "paper"], "--store: not one of sqlite"),
    (["--data-dir", "/tmp/x", "more"], "more is no option"), (["--data-dri", "/tmp/x"], "data-dri")])
def test_bad_usage(arguments, text):
    from sluiced import BUILD
    done = subprocess.run([str(BUILD / "src/main/sluiced"), *arguments], capture_output=True, text=True, timeout=60)
    assert done.returncode == 2 and text in done.stderr
