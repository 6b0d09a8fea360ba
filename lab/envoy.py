"""Envoy with the file that people copy, `envoy/envoy.yaml`: what the demo and the tests run is that
file with other addresses, another configuration of the filter and, where a test says so, without
Envoy's own path checks (so that phiward's are what is tested)."""

import copy
import json
import os
import subprocess
import time
import urllib.request
from collections import Counter, defaultdict
from pathlib import Path

import yaml

from lab.processes import BIN, ROOT, LabError, Process, free_port
from lab.tokens import secrets

SHIPPED = ROOT / "envoy" / "envoy.yaml"
AUDIT_MARK = '"schema":"phiward.audit/1"'
CHECKPOINT_MARK = '"schema":"phiward.audit.checkpoint/1"'


class Envoy:
    """A running Envoy. Listeners come and go while it runs; clusters are fixed when it starts.

    `clusters`: name to port on 127.0.0.1, for `fhir`, `auth`, `revocations` and any more. `http2`: the
    names of those that are spoken to in HTTP/2, as gRPC needs it. `wasm_log`: the log level of wasm
    filters. `more`: further arguments. `env`: what its environment has besides.
    """

    def __init__(self, folder, clusters, admin_port=None, workers=2, http2=(), wasm_log="info", more=(), env=None):
        self.folder, self.clusters, self._http2, self._env = Path(folder), clusters, http2, env
        self.folder.mkdir(parents=True, exist_ok=True)
        self.log = self.folder / "envoy.log"
        self.admin_port = admin_port or free_port()
        self._listeners, self._revision = {}, 0
        self._marks = Counter()
        self._audits, self._by_request, self._parts = [], defaultdict(list), defaultdict(list)
        self._checkpoints, self._lives = [], 0
        self._write_listeners()
        config = self.folder / "envoy.json"
        config.write_text(json.dumps(self._bootstrap(clusters)))
        self._command = [
            binary(), "--config-path", config, "--concurrency", workers,
            "--disable-hot-restart", "--use-dynamic-base-id", "--log-level", "warning",
            "--component-log-level", f"wasm:{wasm_log}", "--file-flush-interval-msec", "100",
            *more,
        ]
        self.start()

    def start(self):
        """Starts the process, with the listeners there are and a log that is empty; an earlier one is
        kept beside it."""
        self._read = 0
        if self.log.exists():
            self._lives += 1
            self.log.rename(self.log.with_name(f"envoy.{self._lives}.log"))
        self._process = Process("envoy", self._command, self.log, self._env)
        self._process.wait_until(self._ready)

    def kill(self):
        """Ends the process at once (SIGKILL), as a crash or a lack of memory does."""
        self._process.kill()

    def end(self, seconds=15):
        """Asks it to end (SIGTERM), as whoever runs it does, and waits until it has."""
        self._process.end(seconds)

    def listen(self, name, configuration, port=None, wait=True, **changes):
        """Adds or replaces the listener `name` with this configuration of the filter and returns its
        port. `changes` are those of `listener`.

        Envoy keeps the old listener when it refuses the new one: `LabError` says why."""
        if port is None:
            port = self._listeners[name][1] if name in self._listeners else free_port()
        before = self._listeners.get(name)
        shipped = yaml.safe_load(SHIPPED.read_text())["static_resources"]["listeners"][0]
        self._listeners[name] = (listener(shipped, name, port, configuration, **changes), port)
        try:
            self._publish(wait)
        except LabError:
            self._listeners.pop(name)
            if before:
                self._listeners[name] = before
            raise
        return port

    def unlisten(self, name):
        """Removes a listener."""
        del self._listeners[name]
        self._publish(wait=True)

    def listeners(self):
        """Names of the listeners there are."""
        return list(self._listeners)

    @property
    def pid(self):
        """Its process id."""
        return self._process.pid

    def stats(self, prefix=""):
        """Counters and gauges whose name starts with `prefix`."""
        found = {}
        for line in self.admin(f"/stats?usedonly&filter=^{prefix}").splitlines():
            name, _, value = line.partition(": ")
            if value.isdigit():
                found[name] = int(value)
        return found

    def wasm_vm_reloads(self):
        """How often a VM trapped: reloads that Envoy counted and failures that it logged."""
        counted = sum(value for name, value in self.stats("wasm[.]").items() if "vm_reload" in name)
        self._follow()
        return counted + self._marks[_TRAP]

    def skipped_filters(self):
        """How often Envoy skipped the filter on a worker, which leaves requests to the lock."""
        self._follow()
        return sum(self._marks[mark] for mark in _SKIPPED)

    def audits(self):
        """Every audit line so far, in order."""
        self._follow()
        return self._audits

    def checkpoints(self):
        """Every checkpoint of the audit trail so far, in order."""
        self._follow()
        return self._checkpoints

    def parts(self, record):
        """The audit lines that are part of this one, in order: entries of its batch, further patients.
        They are written with it."""
        self._follow()
        return self._parts[record["id"]]

    def audit(self, request_id, seconds=5):
        """The audit line of a request, which may have `parts`; it is written when the exchange ends, so
        this waits."""
        deadline = time.monotonic() + seconds
        while True:
            self._follow()
            found = self._by_request[request_id]
            if len(found) > 1:
                raise LabError(f"{len(found)} audit lines of request {request_id}")
            if found:
                return found[0]
            if time.monotonic() > deadline:
                raise LabError(f"no audit line of request {request_id} in {self.log}")
            time.sleep(0.01)

    def admin(self, path, method="GET"):
        """Asks Envoy's own interface, which has to wait while Envoy compiles a filter."""
        request = urllib.request.Request(f"http://127.0.0.1:{self.admin_port}{path}", method=method)
        with urllib.request.urlopen(request, timeout=60) as response:
            return response.read().decode()

    def resident_bytes(self):
        """Memory of the whole process: the VMs and their linear memory too, which Envoy's own figures
        leave out."""
        shown = subprocess.run(["ps", "-o", "rss=", "-p", str(self._process.pid)],
                               capture_output=True, text=True, check=True)
        return int(shown.stdout) * 1024

    def stop(self):
        self._process.stop()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    def _follow(self):
        """Reads the lines that were added to the log."""
        with self.log.open("rb") as log:
            log.seek(self._read)
            fresh = log.read()
        whole = fresh[: fresh.rfind(b"\n") + 1]
        self._read += len(whole)
        for line in whole.decode(errors="replace").split("\n"):
            self._marks.update(mark for mark in (_TRAP, *_SKIPPED) if mark in line)
            if AUDIT_MARK in line:
                self._take(json.loads(line[line.index("{"):]))
            elif CHECKPOINT_MARK in line:
                self._checkpoints.append(json.loads(line[line.index("{"):]))

    def _take(self, record):
        self._audits.append(record)
        if "part_of" in record:
            self._parts[record["part_of"]].append(record)
        else:
            self._by_request[record.get("request_id")].append(record)

    def _bootstrap(self, clusters):
        """The shipped bootstrap with other addresses; listeners come from a file that we rewrite."""
        config = yaml.safe_load(SHIPPED.read_text())
        shipped = {cluster["name"]: cluster for cluster in config["static_resources"]["clusters"]}
        config["static_resources"] = {"clusters": [
            cluster(shipped.get(name, shipped["fhir"]), name, port, name in self._http2)
            for name, port in clusters.items()
        ]}
        config["admin"]["address"]["socket_address"]["port_value"] = self.admin_port
        config["node"] = {"id": "lab", "cluster": "lab"}
        config["dynamic_resources"] = {"lds_config": {
            "path_config_source": {"path": str(self._listeners_file)}}}
        return config

    @property
    def _listeners_file(self):
        return self.folder / "listeners.json"

    def _publish(self, wait):
        before, already_logged = self._outcomes(), self.log.stat().st_size
        self._write_listeners()
        if not wait:
            return
        deadline = time.monotonic() + 60
        while self._outcomes() == before or self._warming():
            if time.monotonic() > deadline:
                raise LabError(f"envoy did not take the listeners:\n{self._process.tail()}")
            time.sleep(0.02)
        if self._outcomes()[1] > before[1]:
            raise LabError(f"envoy refused the listeners:\n{self._complaints(already_logged)}")

    def _complaints(self, start):
        """What Envoy's log holds after its first `start` bytes, but for access and audit lines."""
        with self.log.open("rb") as log:
            log.seek(start)
            lines = log.read().decode(errors="replace").splitlines()
        return "\n".join(line for line in lines if line.startswith("[") and AUDIT_MARK not in line)

    def _warming(self):
        return any(self.stats("listener_manager.total_listeners_warming").values())

    def _outcomes(self):
        """How many listener updates Envoy took, and how many it refused."""
        lds = "listener_manager.lds.update_"
        stats = self.stats(lds)
        return stats.get(f"{lds}success", 0), stats.get(f"{lds}rejected", 0)

    def _write_listeners(self):
        """Envoy notices when another file takes the name, so the change is atomic."""
        self._revision += 1
        resources = [
            {"@type": "type.googleapis.com/envoy.config.listener.v3.Listener", **listener}
            for listener, _ in self._listeners.values()
        ]
        fresh = self._listeners_file.with_suffix(".new")
        fresh.write_text(json.dumps({"version_info": str(self._revision), "resources": resources}))
        os.replace(fresh, self._listeners_file)

    def _ready(self):
        try:
            return self.admin("/ready").startswith("LIVE")
        except OSError:
            return False


def listener(shipped, name, port, configuration, hardened=True, without=(), vm_id=None, wasm=None,
             adjust=None):
    """The shipped listener with another name, address and configuration of the filter.

    `configuration`: a dict goes in as a protobuf Struct, as in the file; text goes in as it is, as
    Istio does. `hardened=False` turns off what Envoy checks before phiward (path normalisation,
    underscores, header limits) and keeps the client's `x-request-id`. `without`: names of filters to
    leave out. `vm_id`: a VM and shared data of its own. `adjust`: a function that changes the
    connection manager at the end, for what only one test needs."""
    changed = copy.deepcopy(shipped)
    changed["name"] = name
    changed["address"]["socket_address"] = {"address": "127.0.0.1", "port_value": port}
    manager = changed["filter_chains"][0]["filters"][0]["typed_config"]
    manager["stat_prefix"] = name
    if not hardened:
        _soften(manager)
    _configure(manager["http_filters"][0]["typed_config"]["config"], configuration, vm_id, wasm)
    manager["http_filters"] = [
        http_filter for http_filter in manager["http_filters"] if http_filter["name"] not in without]
    if adjust:
        adjust(manager)
    secrets.extend(value for value in _environment(manager).values() if len(value) >= 16)
    return changed


def configuration(base_url, issuer, jwks_url, list_url):
    """The shipped configuration of the filter with other addresses, and with everything fetched each
    second so that nobody has to wait."""
    manager = yaml.safe_load(SHIPPED.read_text())["static_resources"]["listeners"][0][
        "filter_chains"][0]["filters"][0]["typed_config"]
    shipped = manager["http_filters"][0]["typed_config"]["config"]["configuration"]["value"]
    shipped["fhir"]["base_url"] = base_url
    shipped["issuers"][0].update(issuer=issuer, audiences=[base_url], clock_skew="1s")
    shipped["issuers"][0]["jwks"].update(url=jwks_url, refresh="1s")
    shipped["revocation"].update(url=list_url, every="1s", max_staleness="1m")
    return shipped


def cluster(shipped, name, port, http2=False):
    """The shipped cluster with another name and address, without TLS."""
    changed = copy.deepcopy(shipped)
    changed.pop("transport_socket", None)
    changed["name"] = changed["load_assignment"]["cluster_name"] = name
    changed["type"] = "STATIC"
    changed["load_assignment"]["endpoints"][0]["lb_endpoints"][0]["endpoint"]["address"] = {
        "socket_address": {"address": "127.0.0.1", "port_value": port}}
    if http2:
        options = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
        changed["typed_extension_protocol_options"] = {options: {
            "@type": f"type.googleapis.com/{options}",
            "explicit_http_config": {"http2_protocol_options": {}}}}
    return changed


def validate(config, folder):
    """What `envoy --mode validate` says of a configuration: success and its output."""
    file = Path(folder) / "validate.json"
    file.write_text(json.dumps(config))
    done = subprocess.run(
        [binary(), "--mode", "validate", "--config-path", file, "--log-level", "warning"],
        capture_output=True, text=True, timeout=60)
    return done.returncode == 0, done.stdout + done.stderr


def wasm_path():
    """The filter that `make build` made, or `$PHIWARD_WASM`."""
    return Path(os.environ.get("PHIWARD_WASM", ROOT / "target" / "phiward.wasm")).resolve()


def binary():
    """The Envoy that lab/setup installed."""
    found = list(BIN.parent.glob("lib/python3*/site-packages/envoy/_bin/envoy"))
    if not found:
        raise LabError("envoy is not installed: run lab/setup")
    return found[0]


def _configure(plugin, configuration, vm_id, wasm):
    plugin["vm_config"]["code"]["local"]["filename"] = str(wasm or wasm_path())
    plugin["vm_config"]["vm_id"] = vm_id or plugin["vm_config"]["vm_id"]
    if isinstance(configuration, str):
        plugin["configuration"] = {
            "@type": "type.googleapis.com/google.protobuf.StringValue", "value": configuration}
    else:
        plugin["configuration"]["value"] = configuration


def _environment(manager):
    """What the VM's environment holds: secrets."""
    filters = {one["name"]: one for one in manager["http_filters"]}
    vm = filters.get("phiward", {}).get("typed_config", {}).get("config", {}).get("vm_config", {})
    return vm.get("environment_variables", {}).get("key_values", {})


def _soften(manager):
    for setting in ("normalize_path", "merge_slashes", "path_with_escaped_slashes_action"):
        del manager[setting]
    manager["preserve_external_request_id"] = True
    manager["max_request_headers_kb"] = 1024
    manager["common_http_protocol_options"] = {"max_headers_count": 2000}


_TRAP = "Function: proxy_on_"  # what Envoy logs for each callback that trapped
_SKIPPED = ("Failed to start thread-local Wasm", "Failed to configure thread-local Wasm plugin")
