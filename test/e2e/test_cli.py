"""`sluice`, the command line: what it prints, how it fails, what it exits with. Releases themselves are test_release.py's."""
import json
import subprocess

import pytest

from release import App, at_weight, canary_weight, end, rolled_back, settled, sluice, start
from sluiced import BUILD, eventually

HOLD = {"pause": {}}


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    sluiced = start(tmp_path_factory.mktemp("cli"))
    yield sluiced
    end(sluiced)


@pytest.fixture(scope="module")
def app(server, tmp_path_factory):
    """In mid-update, at 20 %, held."""
    made = App(server, "shop", tmp_path_factory.mktemp("shop"), [{"setWeight": 20}, HOLD, {"setWeight": 60}, HOLD])
    yield made
    made.delete()


@pytest.fixture
def at_20(app):
    """Whatever the test before left: a fresh update of the app, held at 20 %."""
    rollout = app.get()
    tag = {"v1": "v2", "v2": "v1"}[stable_tag(app)]
    if rollout["status"].get("abort") or not settled(rollout):
        app.ship(stable_tag(app))
        app.wait(settled)
    app.ship(tag)
    app.wait(at_weight(20))
    return tag


def stable_tag(app):
    return app.count(3).most_common(1)[0][0] if canary_weight(app.get()) == 0 else app.count(10).most_common(1)[0][0]


# --- usage ---


def run(*arguments, input=None, env=None):
    return subprocess.run([str(BUILD / "src/main/sluice"), *arguments], capture_output=True, text=True, timeout=30, input=input, env=env)


@pytest.mark.parametrize("arguments, text", [
    (["nonsense"], 'unknown command "nonsense"'),
    (["rollout", "nonsense"], 'unknown command "rollout nonsense"'),
    (["rollout", "status"], "usage: sluice rollout status NAME"),
    (["rollout", "status", "a", "b"], "usage: sluice rollout status"),
    (["rollout", "set-image", "a"], "usage: sluice rollout set-image NAME CONTAINER=IMAGE"),
    (["get"], "usage: sluice get"),
    (["get", "pods", "--nonsense"], "unknown flag --nonsense"),
    (["get", "pods", "-o"], "--output needs a value"),
    (["get", "pods", "-o", "xml"], '"xml" is no format; use table, wide, json, yaml or name'),
    (["rollout", "undo", "a", "--to-revision"], "--to-revision needs a value"),
    (["delete", "pod"], "KIND NAME"),
    (["version", "extra"], "usage: sluice version"),
])
def test_bad_usage(server, arguments, text):
    done = run("--kubeconfig", str(server.kubeconfig), *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: ") and text in done.stderr


def test_help_lists_every_command():
    text = run("--help").stdout
    for word in ("apply", "delete", "get", "rollout status", "rollout undo", "explain", "top", "lint", "version", "exit status"):
        assert word in text
    assert run().stdout == text


def test_version():
    assert run("version").stdout.startswith("sluice 0.")


def test_no_server_and_no_kubeconfig(tmp_path):
    done = run("--kubeconfig", str(tmp_path / "none"), "get", "pods")
    assert done.returncode == 1 and "none" in done.stderr and done.stderr.startswith("error: ")
    (tmp_path / "config").write_text("apiVersion: v1\nkind: Config\n")
    done = run("--kubeconfig", str(tmp_path / "config"), "get", "pods")
    assert done.returncode == 1 and done.stderr.startswith("error: ")


# --- objects ---

GOOD = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: colours, labels: {tier: test}}\ndata: {sky: blue}\n"
BAD = GOOD.replace("data: {sky: blue}", "data: {sky: [1]}")
TYPO = GOOD.replace("\ndata:", "\ndtaa:")


def test_apply_get_delete(server):
    assert sluice(server, "apply", "-f", "-", "--dry-run", input=GOOD).stdout == "ConfigMap/colours applied (dry run)\n"
    assert "not found" in sluice(server, "get", "configmap", "colours", status=1).stderr
    assert sluice(server, "apply", "-f", "-", input=GOOD).stdout == "ConfigMap/colours applied\n"
    assert json.loads(sluice(server, "get", "configmap", "colours", "-o", "json").stdout)["data"] == {"sky": "blue"}
    assert "sky: blue" in sluice(server, "get", "cm", "colours", "-o", "yaml").stdout
    assert [o["metadata"]["name"] for o in json.loads(sluice(server, "get", "cm", "-l", "tier=test", "-o", "json").stdout)["items"]] == ["colours"]
    assert "colours" in sluice(server, "get", "cm", "-A").stdout
    assert sluice(server, "delete", "configmap", "colours").stdout == "configmap/colours deleted\n"
    assert "not found" in sluice(server, "delete", "configmap", "colours", status=1).stderr
    sluice(server, "apply", "-f", "-", input=GOOD)
    sluice(server, "delete", "-f", "-", input=GOOD)


@pytest.mark.parametrize("text, words", [
    (BAD, ["ConfigMap/colours", "data", "sky"]),
    (TYPO, ["ConfigMap/colours", "dtaa"]),
    (GOOD.replace("ConfigMap", "ConfgMap"), ["ConfgMap"]),
    (GOOD.replace("colours,", "Col ours,"), ["ConfigMap/Col ours", "metadata.name"]),
    (GOOD.replace("name: colours, ", ""), ["ConfigMap/?", "metadata.name"]),
    ("a: [", ["standard input"]),
    ("", ["no manifest"]),
])
def test_errors_name_object_and_field(server, text, words):
    done = sluice(server, "apply", "-f", "-", input=text, status=1)
    assert done.stderr.startswith("error: ")
    for word in words:
        assert word in done.stderr, done.stderr


def test_lint(tmp_path):
    good, bad = tmp_path / "good.yaml", tmp_path / "bad.yaml"
    good.write_text(GOOD)
    bad.write_text(BAD)
    assert run("lint", "-f", str(good)).stdout == "1 objects, 0 errors\n"
    done = run("lint", "-f", str(good), "-f", str(bad))
    assert done.returncode == 1 and "bad.yaml: ConfigMap/colours: data" in done.stderr
    assert run("lint", "-f", str(tmp_path / "none.yaml")).returncode == 1


@pytest.mark.parametrize("verb", ["get", "delete"])
@pytest.mark.parametrize("name", ["a b", "a/b", "..", "a?b"])
def test_names_that_can_be_no_name(server, verb, name):
    assert sluice(server, verb, "configmap", name, status=1).stderr.startswith(f"error: configmap/{name}: metadata.name: ")


def test_unknown_kind(server):
    assert '"nonsense" is no kind of object' in sluice(server, "get", "nonsense", status=1).stderr


# --- rollouts ---


@pytest.mark.parametrize("verb", ["status", "promote", "abort", "retry", "pause", "undo", "history"])
def test_a_rollout_that_is_not_there(server, verb):
    done = sluice(server, "rollout", verb, "none", status=1)
    assert done.stderr.startswith("error: rollout/none: ") and "not found" in done.stderr


def test_abort_retry_promote_full(server, app, at_20):
    app.rollout("abort")
    app.wait(rolled_back)
    assert "Degraded" in app.rollout("status", status=3).stdout
    assert app.rollout("status", "-w", status=3).stdout
    app.rollout("retry")
    app.wait(at_weight(20))
    app.rollout("promote", "--full")
    assert "Healthy" in app.rollout("status", "-w").stdout
    app.wait(settled)
    assert app.count(10) == {at_20: 10}
    assert "nothing to promote" in app.rollout("promote", status=1).stderr


def test_promote_goes_one_pause_on(server, app, at_20):
    app.rollout("promote")
    app.wait(at_weight(60))
    app.rollout("promote")
    app.rollout("status", "-w")
    assert app.count(10) == {at_20: 10}


def test_pause_holds(server, app, at_20):
    app.rollout("pause")
    assert app.wait(lambda r: r["status"].get("message") == "manually paused")["status"]["phase"] == "Paused"
    app.rollout("promote")
    app.wait(at_weight(60))
    app.rollout("promote", "--full")
    app.wait(settled)


def test_history_and_undo(server, app, at_20):
    app.rollout("promote", "--full")
    app.wait(settled)
    lines = app.rollout("history").stdout.splitlines()
    assert lines[0].split() == ["REVISION", "HASH", "IMAGES", "PODS", "ROLE"]
    assert lines[1].split()[2] == f"demo:{at_20}" and lines[1].split()[-1] == "stable"
    earlier = lines[2].split()[0]
    assert "no such revision" in app.rollout("undo", "--to-revision", "999", status=1).stderr
    assert "is not a number" in app.rollout("undo", "--to-revision", "x", status=1).stderr
    assert f"goes back to revision {earlier}" in app.rollout("undo").stdout
    app.wait(at_weight(20))
    app.rollout("undo", "--to-revision", lines[1].split()[0])  # the stable template again: back at once
    app.wait(settled)
    assert app.count(10) == {at_20: 10}


def test_set_image_says_what_is_wrong(server, app):
    assert 'no container is named "other"' in sluice(server, "rollout", "set-image", "shop", "other=demo:v2", status=1).stderr
    assert "CONTAINER=IMAGE" in sluice(server, "rollout", "set-image", "shop", "main", status=2).stderr


def test_outputs_of_a_rollout(server, app):
    assert json.loads(app.rollout("status", "-o", "json").stdout)["phase"]
    assert "phase:" in app.rollout("status", "-o", "yaml").stdout
    assert "shop" in sluice(server, "rollout", "list").stdout
    assert json.loads(sluice(server, "explain", "shop", "-o", "json").stdout)["decisions"]
    text = sluice(server, "explain", "shop").stdout
    assert "TIME" in text and "promote" in text
    assert "not found" in sluice(server, "explain", "none", status=1).stderr


def test_top_counts_requests(server, app):
    assert app.count(50)
    assert eventually(lambda: any("default/shop" in row and int(row.split()[-1]) >= 50 for row in sluice(server, "top").stdout.splitlines()))
