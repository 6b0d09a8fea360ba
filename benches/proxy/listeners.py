"""The listeners: all are the shipped one, with other filters before the router and without access log."""

import json
import time

from lab import envoy as lab_envoy
from lab import tokens
from lab.http import Client
from lab.processes import LabError

from .traffic import BASE, ISSUER

PHIWARD = ("phiward", "phiward-lock")
FLOOR = lab_envoy.ROOT / "target" / "floor.wasm"


class Listeners:
    """Adds listeners to an Envoy whose clusters are `fhir`, `auth`, `revocations`, `collector` and `yes`."""

    def __init__(self, envoy, keys, jwks_url, list_url, probe):
        self.envoy, self.keys, self.probe = envoy, keys, probe
        self.jwks_url, self.list_url = jwks_url, list_url

    def all(self):
        """Port by name."""
        batches = self.batches()
        return {
            "bare": self.native("bare"),
            "direct": self.native("direct", adjust=_answer_directly),
            "jwt": self.native("jwt", self.jwt_authn()),
            "jwt-cached": self.native("jwt-cached", self.jwt_authn(cached=True)),
            "stack": self.native("stack", self.jwt_authn(cached=True), _rbac(), _local_ratelimit()),
            "ext_authz": self.native("ext_authz", _ext_authz(self.envoy.clusters["yes"])),
            "nothing": self.floor("nothing", ""),
            **{does: self.floor(does, does) for does in ("parse", "calls", "records")},
            "phiward": self.phiward("phiward", batches),
            "phiward-new": self.phiward("phiward-new", batches),
            "phiward-off": self.phiward("phiward-off", {"sinks": []}),
            "phiward-log": self.phiward("phiward-log", {"sinks": ["log"]}),
            "phiward-access-log": self.phiward(
                "phiward-access-log", {"sinks": ["access_log"]}, adjust=_log_access),
            "phiward-sealed": self.phiward(
                "phiward-sealed", {**batches, "seal": {"key": "AUDIT_KEY", "key_id": "1"}}, adjust=_give_key),
        }

    def batches(self):
        """Records in batches to the collector."""
        url = f"http://127.0.0.1:{self.envoy.clusters['collector']}/"
        return {"sinks": ["collector"], "collector": {"cluster": "collector", "url": url}}

    def native(self, name, *filters, adjust=None):
        """With filters of Envoy's own."""
        def change(manager):
            _without_access_log(manager)
            manager["http_filters"][:0] = filters
            if adjust:
                adjust(manager)

        return self.envoy.listen(name, {}, without=PHIWARD, adjust=change)

    def floor(self, name, configuration):
        """With the filter of benches/floor."""
        return self.envoy.listen(name, configuration, without=PHIWARD[1:], vm_id="floor", wasm=FLOOR,
                                 adjust=_without_access_log)

    def phiward(self, name, audit, lists=None, adjust=None, **changes):
        """As shipped, with a lock behind it. `lists`: cluster and URL of another revocation list;
        `changes`: keys of the configuration."""
        document = lab_envoy.configuration(BASE, ISSUER, self.jwks_url, self.list_url)
        document["issuers"][0].update(algorithms=list(self.keys))
        document["issuers"][0]["jwks"]["refresh"] = "5m"
        document["revocation"].update(every="1m", max_staleness="30m")
        if lists:
            document["revocation"].update(cluster=lists[0], url=lists[1])
        document.update(changes, audit=audit)
        # Listeners with the same configuration share an instance of the filter, and its cache.
        document["fhir"]["passthrough"] = [f"/{name.replace(' ', '-')}"]
        return self.ready(name, self.envoy.listen(name, document, adjust=adjust or _without_access_log))

    def ready(self, name, port, seconds=600):
        """Waits until phiward has its keys and its list."""
        deadline = time.monotonic() + seconds
        with Client(port) as client:
            while (answer := client.get("/fhir/Patient/ann", self.probe)).status != 200:
                if answer.status != 503 or time.monotonic() > deadline:
                    raise LabError(f"`{name}` did not get ready: {answer.status} {answer.body[:300]}")
                time.sleep(0.05)
        return port

    def jwt_authn(self, cached=False):
        """Takes the same tokens and hands their claims to the filters behind."""
        provider = {"issuer": ISSUER, "audiences": [BASE], "payload_in_metadata": "jwt",
                    "local_jwks": {"inline_string": json.dumps(tokens.jwks(*self.keys.values()))}}
        if cached:
            provider["jwt_cache_config"] = {"jwt_cache_size": 1000}
        return _filter("envoy.filters.http.jwt_authn", "jwt_authn.v3.JwtAuthentication", {
            "providers": {"clinic": provider},
            "rules": [{"match": {"prefix": "/"}, "requires": {"provider_name": "clinic"}}]})


def _rbac():
    """Lets tokens with a scope of a backend read the API."""
    scope = {"filter": "envoy.filters.http.jwt_authn", "path": [{"key": "jwt"}, {"key": "scope"}],
             "value": {"string_match": {"contains": "system/"}}}
    readers = {"permissions": [{"and_rules": {"rules": [
        {"url_path": {"path": {"prefix": "/fhir/"}}},
        {"header": {"name": ":method", "string_match": {"exact": "GET"}}}]}}],
        "principals": [{"sourced_metadata": {"metadata_matcher": scope}}]}
    return _filter("envoy.filters.http.rbac", "rbac.v3.RBAC", {
        "rules": {"action": "ALLOW", "policies": {"readers": readers}}})


def _local_ratelimit():
    always = {"default_value": {"numerator": 100, "denominator": "HUNDRED"}}
    bucket = {"max_tokens": 1_000_000_000, "tokens_per_fill": 1_000_000_000, "fill_interval": "1s"}
    return _filter("envoy.filters.http.local_ratelimit", "local_ratelimit.v3.LocalRateLimit", {
        "stat_prefix": "bench", "token_bucket": bucket, "filter_enabled": always,
        "filter_enforced": always})


def _ext_authz(port):
    server = {"uri": f"http://127.0.0.1:{port}", "cluster": "yes", "timeout": "5s"}
    return _filter("envoy.filters.http.ext_authz", "ext_authz.v3.ExtAuthz", {
        "transport_api_version": "V3", "http_service": {"server_uri": server}})


def _filter(name, kind, config):
    return {"name": name, "typed_config": {
        "@type": f"type.googleapis.com/envoy.extensions.filters.http.{kind}", **config}}


def _answer_directly(manager):
    body = '{"resourceType":"OperationOutcome","issue":[{"severity":"error","code":"login"}]}'
    manager["route_config"]["virtual_hosts"][0]["routes"] = [{
        "match": {"prefix": "/"}, "direct_response": {"status": 401, "body": {"inline_string": body}}}]


def _without_access_log(manager):
    del manager["access_log"]


def _log_access(manager):
    """Only the records."""
    logger = manager["access_log"][0]["typed_config"]
    logger["log_format"]["text_format_source"]["inline_string"] = "%FILTER_STATE(wasm.phiward.audit:PLAIN)%\n"


def _give_key(manager):
    _without_access_log(manager)
    plugin = manager["http_filters"][0]["typed_config"]["config"]
    plugin["vm_config"]["environment_variables"] = {"key_values": {
        "AUDIT_KEY": "what-seals-the-records-of-this-benchmark"}}
