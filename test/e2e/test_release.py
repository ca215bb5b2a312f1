"""Releases end to end: sluiced, sluice-proxy and real processes, through canaries, rollbacks, crashes and scale-downs."""
import json
import os
import random
import signal
import subprocess
import time
import urllib.request

import pytest

from release import (NO_PROBE, App, Load, alive, at_weight, canary_weight, end, rolled_back, server_pids, settled, sluice, start)
from sluiced import eventually

HOLD = {"pause": {}}


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    sluiced = start(tmp_path_factory.mktemp("release"))
    yield sluiced
    end(sluiced)


@pytest.fixture
def own(tmp_path):
    """A sluiced of the test's own, to be killed and started again."""
    sluiced = start(tmp_path)
    yield sluiced
    if sluiced.process is None:
        sluiced.start()
    end(sluiced)


@pytest.fixture
def app_of(request, tmp_path):
    made = []

    def make(server, steps, **more):
        made.append(App(server, request.node.name.split("[")[0].replace("_", "-")[5:45].strip("-"), tmp_path, steps, **more))
        return made[-1]

    return make


# --- canaries ---


def test_canary_goes_through_exact_weights(server, app_of):
    app = app_of(server, [{"setWeight": 20}, HOLD, {"setWeight": 50}, HOLD])
    app.ship("v2")
    for percent in (20, 50):
        app.wait(at_weight(percent))
        # one connection stays on one worker, whose split is exact in every hundred requests
        assert app.count(100) == {"v1": 100 - percent, "v2": percent}
        assert app.count(5, end_user="jason") == {"v2": 5}
        app.rollout("promote")
    app.wait(settled)
    assert app.count(50) == app.count(50, end_user="jason") == {"v2": 50}
    eventually(lambda: not app.processes("v1"))
    app.delete()


def test_faulty_version_is_rolled_back(server, app_of):
    app = app_of(server, [{"setWeight": 20}, HOLD])
    with Load(app) as load:
        app.ship("bad")
        rollout = app.wait(rolled_back)
        done = app.rollout("status", "-w", status=3)
    assert "Degraded" in done.stdout
    assert app.count(50) == {"v1": 50}
    assert not load.lost()
    message = rollout["status"]["message"]
    assert "worse than stable" in message or "guard tripped" in message  # whichever of judge and guard was first
    told = sluice(server, "explain", app.name).stdout
    assert "rollback" in told or "abort" in told
    sluice(server, "get", "virtualservice", app.name, "-o", "json")  # what the user wrote stands:
    routes = server.api("GET", f"/apis/networking.istio.io/v1/namespaces/default/virtualservices/{app.name}")["spec"]["http"]
    assert [r["weight"] for r in routes[1]["route"]] == [100, 0]
    app.ship("v1")
    app.wait(settled)
    app.delete()


def test_the_template_changes_in_mid_update(server, app_of):
    app = app_of(server, [{"setWeight": 30}, HOLD])
    app.ship("v2")
    app.wait(at_weight(30))
    app.ship("v4")
    app.wait(lambda r: at_weight(30)(r) and app.count(10, end_user="jason") == {"v4": 10})
    assert app.count(100) == {"v1": 70, "v4": 30}  # against the old stable
    eventually(lambda: not app.processes("v2"))
    app.ship("v1")  # the stable template again: back at once, without steps
    app.wait(settled)
    assert app.count(20) == {"v1": 20}
    eventually(lambda: not app.processes("v4"))
    app.delete()


# A good version is let through when its time is up; a bad one has all the time that proof takes on a slow machine.
@pytest.mark.parametrize("tag, duration, good", [("v2", "2s", True), ("bad", "30s", False)])
def test_analysis_step(server, app_of, tag, duration, good):
    name = f"judged-{tag}"
    server.request("POST", "/apis/argoproj.io/v1alpha1/namespaces/default/analysistemplates", {
        "metadata": {"name": name}, "spec": {"metrics": [{"name": "failures", "provider": {"sluice": {"duration": duration}}}]}})
    app = app_of(server, [{"setWeight": 50}, {"analysis": {"templates": [{"templateName": name}]}}])
    with Load(app):
        app.ship(tag)
        app.wait(settled if good else rolled_back, 40)
        app.rollout("status", "-w", status=0 if good else 3)
    assert app.count(20) == {"v2" if good else "v1": 20}
    app.delete()


# --- guards ---


@pytest.mark.parametrize("tag", ["deaf", "cut"])
def test_a_canary_that_answers_nobody_is_rolled_back(server, app_of, tag):
    app = app_of(server, [{"setWeight": 20}, HOLD], probe=NO_PROBE)
    with Load(app, connections=8) as load:
        app.ship(tag)
        app.wait(rolled_back)
    assert app.count(50) == {"v1": 50}
    times = [at for at, answer in load.answers if answer.error or not answer.version]
    assert not times or max(times) - min(times) < 2, f"{len(times)} answers were lost in {max(times) - min(times)} s"
    app.delete()


def config_dump(server):
    with urllib.request.urlopen(server.urls["admin"] + "/config_dump", timeout=10) as answer:
        return json.load(answer)


def test_the_guard_needs_no_control_plane(own, app_of):
    app = app_of(own, [{"setWeight": 20}, HOLD])
    app.ship("v2")
    app.wait(at_weight(20))
    assert app.count(100) == {"v1": 80, "v2": 20}
    own.kill()
    with Load(app, connections=4):
        for pid in app.processes("v2"):
            with open(f"/proc/{pid}/stat") as stat:
                shim = int(stat.read().rsplit(")", 1)[1].split()[1])
            os.kill(shim, signal.SIGKILL)  # it would start the program again
            os.kill(pid, signal.SIGKILL)
        eventually(lambda: [g["tripped"] for g in config_dump(own)["guards"]] == [True])
    assert app.count(40) == {"v1": 40}
    own.start()
    app.wait(lambda r: rolled_back(r) or at_weight(20)(r))
    app.delete()


# --- crashes ---


def test_sluiced_is_killed_again_and_again(own, app_of):
    app = app_of(own, [{"setWeight": 20}, {"pause": {"duration": "1s"}}, {"setWeight": 60}, {"pause": {"duration": "1s"}}])
    dice = random.Random(5)
    before = server_pids(own)
    with Load(app) as load:
        app.ship("v2")
        for _ in range(4):
            time.sleep(dice.random())  # the moment is what varies, not what is waited for
            own.kill()
            own.start()
        app.wait(settled)
    assert not load.lost()
    assert app.count(20) == {"v2": 20}
    assert set(app.processes("v2")) and len(app.processes("v2")) == 1
    assert [p for p in before if alive(p)], "the proxy and its shim are the same as before"
    app.delete()


def proxy_pids(server):
    found = []
    for pid in server_pids(server):
        with open(f"/proc/{pid}/cmdline", "rb") as f:
            if f.read().split(b"\0")[0].endswith(b"sluice-proxy"):
                found.append(pid)
    return found


def test_a_killed_proxy_is_back(own, app_of):
    app = app_of(own, [{"setWeight": 20}, HOLD])
    app.ship("v2")
    app.wait(at_weight(20))
    pids = proxy_pids(own)
    assert pids
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    eventually(lambda: app.ask().status == 200)
    assert proxy_pids(own) != pids
    eventually(lambda: app.count(100) == {"v1": 80, "v2": 20})
    app.rollout("promote", "--full")
    app.wait(settled)
    app.delete()


def test_hangup_leaves_it_all_and_the_next_sluiced_adopts(own, app_of):
    app = app_of(own, [])
    processes, proxies = app.processes(), proxy_pids(own)
    own.process.send_signal(signal.SIGHUP)
    assert own._reap() == 0, own.stderr()
    assert app.ask().status == 200
    own.start()
    app.wait(settled)
    assert (app.processes(), proxy_pids(own)) == (processes, proxies)


# --- nothing is lost ---


def test_no_request_is_lost_by_scaling_down(server, app_of):
    app = app_of(server, [{"setWeight": 50}])
    with Load(app, "/slow", connections=6), Load(app) as load:
        slow = Load(app, "/slow", connections=4)
        app.ship("v2")
        app.wait(settled, 30)
        eventually(lambda: not app.processes("v1"), 30)
        slow.stop()
    assert not slow.lost() and not load.lost(), (slow.lost(), load.lost())
    assert {answer.version for _, answer in slow.answers} == {"v1", "v2"}
    app.delete()


def test_no_request_is_lost_by_deleting_a_pod(server, app_of):
    app = app_of(server, [])
    sluice(server, "apply", "-f", app.manifest)
    server.api("PATCH", app.path, {"spec": {"replicas": 2}}, {"Content-Type": "application/merge-patch+json"}, expect=200)
    app.wait(lambda r: r["status"].get("availableReplicas") == 2)
    old = app.processes()
    with Load(app) as load:
        slow = Load(app, "/slow", connections=4)
        eventually(lambda: slow.answers)
        for pod in server.api("GET", f"/api/v1/namespaces/default/pods?labelSelector=app%3D{app.name}")["items"]:
            sluice(server, "delete", "pod", pod["metadata"]["name"])
            app.wait(lambda r: r["status"].get("availableReplicas") == 2)
        eventually(lambda: not any(map(alive, old)))
        slow.stop()
    assert not slow.lost() and not load.lost(), (slow.lost(), load.lost())
    app.delete()


def test_deleting_a_rollout_ends_its_pods(server, app_of):
    app = app_of(server, [])
    assert app.processes()
    app.delete()
    path = f"/api/v1/namespaces/default/pods?labelSelector=app%3D{app.name}"
    eventually(lambda: not server.api("GET", path)["items"])


# --- writes ---


def version_of(server):
    return int(server.api("GET", "/api/v1/namespaces/default/configmaps")["metadata"]["resourceVersion"])


def test_an_idle_mesh_writes_nothing(own, app_of):
    app_of(own, [])
    eventually(lambda: quiet(own), 30)


def quiet(server):
    before = version_of(server)
    time.sleep(2)  # the time in which nothing may be written
    return version_of(server) == before


def test_a_judged_rollout_writes_about_once_a_second(own, app_of):
    app = app_of(own, [{"setWeight": 20}, HOLD])
    with Load(app):
        app.ship("v2")
        app.wait(at_weight(20))
        before = version_of(own)
        time.sleep(3)  # what is counted is writes in a time
        written = version_of(own) - before
    assert 1 <= written <= 6, f"{written} writes in 3 s"
