"""What is understood and not honoured yet is said: in a status condition, or where a kind has none in a Warning of the answer."""
import json

import pytest

from sluiced import Sluiced

HTTP_ROUTE = {"destination": {"host": "shop"}}


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    sluiced = Sluiced(tmp_path_factory.mktemp("sluiced") / "data", "--runtime", "none", "--proxy", "off")
    yield sluiced
    assert sluiced.stop() == 0, sluiced.stderr()


def istio(kind, plural, spec):
    return "networking.istio.io/v1", kind, plural, spec


CASES = {
    "fault": (istio("VirtualService", "virtualservices", {"hosts": ["shop"], "http": [
        {"fault": {"abort": {"percentage": {"value": 50}, "httpStatus": 500}}, "route": [HTTP_ROUTE]}]}), "fault"),
    "mirror": (istio("VirtualService", "virtualservices", {"hosts": ["shop"], "http": [
        {"route": [HTTP_ROUTE], "mirror": {"host": "shop", "subset": "v2"}, "mirrorPercentage": {"value": 10}}]}), "mirror"),
    "cors": (istio("VirtualService", "virtualservices", {"hosts": ["shop"], "http": [
        {"route": [HTTP_ROUTE], "corsPolicy": {"allowOrigins": [{"exact": "https://a.example"}]}}]}), "corsPolicy"),
    "client-tls": (istio("DestinationRule", "destinationrules", {"host": "shop", "trafficPolicy": {
        "tls": {"mode": "ISTIO_MUTUAL"}}}), "tls"),
    "outliers": (istio("DestinationRule", "destinationrules", {"host": "shop", "trafficPolicy": {
        "outlierDetection": {"consecutive5xxErrors": 3, "interval": "5s"}}}), "outlierDetection"),
    "gateway-tls": (istio("Gateway", "gateways", {"selector": {"istio": "ingressgateway"}, "servers": [
        {"port": {"number": 443, "name": "https", "protocol": "HTTPS"}, "hosts": ["a.example"],
         "tls": {"mode": "SIMPLE", "credentialName": "cert"}}]}), "tls"),
    "service-entry": (istio("ServiceEntry", "serviceentries", {"hosts": ["a.example"], "location": "MESH_EXTERNAL", "resolution": "DNS",
                                                               "ports": [{"number": 443, "name": "https", "protocol": "TLS"}]}), "ServiceEntry objects"),
    "http-route": (("gateway.networking.k8s.io/v1", "HTTPRoute", "httproutes", {"parentRefs": [{"name": "gate"}], "rules": [
        {"backendRefs": [{"name": "shop", "port": 80}]}]}), "HTTPRoute objects"),
    "ingress": (("networking.k8s.io/v1", "Ingress", "ingresses", {"rules": [{"host": "a.example", "http": {"paths": [
        {"path": "/", "pathType": "Prefix", "backend": {"service": {"name": "shop", "port": {"number": 80}}}}]}}]}), ""),
}


@pytest.mark.parametrize("case", CASES)
def test_what_is_not_honoured_is_said(server, case):
    (version, kind, plural, spec), field = CASES[case]
    path = f"/apis/{version}/namespaces/default/{plural}"
    status, headers, text = server.request("POST", path, {"apiVersion": version, "kind": kind, "metadata": {"name": case}, "spec": spec})
    assert status == 201, text
    status = server.api("GET", f"{path}/{case}").get("status", {})
    conditions = status.get("conditions", []) + [c for p in status.get("parents", []) for c in p["conditions"]]  # a route's: per parent
    said = headers.get_all("Warning") or []
    said += [c["message"] for c in conditions if c["type"] in ("FieldsHonoured", "Accepted") and c["status"] == "False"]
    assert any(field in text for text in said), (said, conditions)
