"""One Envoy with two workers runs the .wasm of these sources for the whole session, before a server
that records what reaches it."""

import sys
import time
from pathlib import Path

import pytest

SPARE_LISTS = 80
ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from clinic import ALGORITHMS, MAX_LIFETIME, SKEW, Clinic  # noqa: E402
from gateway import BASE, Gateway, Issuer  # noqa: E402
from lab import envoy as lab_envoy, receivers  # noqa: E402
from lab.http import Client  # noqa: E402
from lab.processes import end_on_signals, free_port, stop_all  # noqa: E402
from lab.servers import Introspection, Revocations, Upstream  # noqa: E402
from lab.tokens import Key  # noqa: E402


@pytest.fixture(scope="session")
def wasm():
    """The filter, which must be newer than everything it is built from."""
    built = lab_envoy.wasm_path()
    assert built.exists(), f"{built} is missing: run `make build`"
    sources = [ROOT / "Cargo.toml", ROOT / "Cargo.lock",
               *(path for path in (ROOT / "src").rglob("*") if path.is_file())]
    newer = [path for path in sources if path.stat().st_mtime > built.stat().st_mtime]
    assert not newer, f"{built} is older than {newer[0]}: run `make build`"
    return built


@pytest.fixture(scope="session")
def upstream():
    with Upstream() as server:
        yield server


@pytest.fixture(scope="session")
def revocations():
    """The revocation list of the session's listeners: tests leave it as they found it."""
    with Revocations() as server:
        yield server


@pytest.fixture(scope="session")
def spare_lists():
    """Revocation lists for listeners of their own: take one with `pop()`. Each is reached over the
    cluster that has its port for a name."""
    servers = [Revocations() for _ in range(SPARE_LISTS)]
    yield servers[:]
    for server in servers:
        server.stop()


@pytest.fixture(scope="session")
def issuer():
    """The issuer of the session's listeners: an RSA key and an EC key."""
    made = Issuer(Key("RS256", "rsa-1"), Key("ES256", "ec-1"))
    yield made
    made.jwks.stop()


@pytest.fixture(scope="session")
def introspection():
    """An issuer that is asked about tokens, under the cluster `introspection`."""
    with Introspection("gateway") as server:
        yield server


@pytest.fixture(scope="session")
def turning():
    """An issuer for tests of key sets, which change under the cluster `turning`."""
    made = Issuer(Key("ES256", "first"), name="https://turning.clinic.example")
    yield made
    made.jwks.stop()


@pytest.fixture(scope="session")
def configuration(issuer, revocations):
    """Makes a fresh copy of the configuration that the session's listeners have, to be changed."""
    return lambda: lab_envoy.configuration(
        BASE, issuer.name, issuer.jwks.jwks_url, revocations.list_url)


@pytest.fixture(scope="session")
def envoy(wasm, upstream, revocations, spare_lists, issuer, turning, introspection, tmp_path_factory):
    end_on_signals()
    clusters = {"fhir": upstream.port, "auth": issuer.jwks.port, "revocations": revocations.port,
                "turning": turning.jwks.port, "introspection": introspection.port,
                **{str(server.port): server.port for server in spare_lists},
                # Ports on which nobody listens, until a test does.
                **{name: free_port() for name in (
                    "nobody", "real-fhir", "real-auth", "real-opaque", "families", "alone", "binaries", "als",
                    "raw", "raw-http2", *receivers.KINDS)}}
    over_http2 = {"als", "raw-http2", *(name for name, kind in receivers.KINDS.items() if kind.http2)}
    with lab_envoy.Envoy(tmp_path_factory.mktemp("envoy"), clusters, http2=over_http2) as running:
        yield running
    stop_all()


@pytest.fixture(scope="session")
def listen(envoy, upstream, issuer):
    """Adds a listener and waits until the filter there has its keys and its list:
    `listen("name", configuration, …)` as `lab.envoy.Envoy.listen`; `ready=False` does not wait."""

    def add(name, configuration, ready=True, **changes):
        port = envoy.listen(name, configuration, **changes)
        deadline = time.monotonic() + 15
        while ready and not ready_on_every_worker(port, issuer.patient()):
            assert time.monotonic() < deadline, f"the filter of `{name}` did not get ready"
            time.sleep(0.05)
        return Gateway(envoy, port, upstream)

    return add


def ready_on_every_worker(port, token):
    """Whether the filter has its keys and its list; each new connection may come to either worker."""
    for _ in range(20):
        with Client(port) as client:
            if client.get("/fhir/Patient/ann", token).status == 503:
                return False
    return True


@pytest.fixture(scope="session")
def gateway(listen, configuration):
    """phiward alone: Envoy's own path and header checks are off."""
    return listen("gateway", configuration(), hardened=False)


@pytest.fixture(scope="session")
def shipped(listen, configuration):
    """phiward as `envoy/envoy.yaml` runs it."""
    return listen("shipped", configuration())


@pytest.fixture(scope="session")
def clinic():
    """An issuer with a key for each algorithm."""
    made = Clinic()
    yield made
    made.jwks.stop()


@pytest.fixture(scope="session")
def laboratory():
    """A second issuer, one of whose keys has a name that the clinic's has too."""
    made = Issuer(Key("RS256", "rs256"), Key("RS256", "laboratory"), name="https://lab.clinic.example")
    yield made
    made.jwks.stop()


@pytest.fixture(scope="session")
def door(listen, configuration, clinic, laboratory):
    """A listener that takes tokens of both."""
    document = configuration()
    document["issuers"] += [
        {"issuer": clinic.name, "audiences": [BASE, "urn:second-name"], "algorithms": ALGORITHMS,
         "jwks": {"inline": {"keys": clinic.keys_as_configured()}},
         "clock_skew": f"{SKEW}s", "max_lifetime": f"{MAX_LIFETIME}s"},
        {"issuer": laboratory.name, "audiences": [BASE], "clock_skew": "1s",
         "jwks": {"inline": {"keys": [key.jwk() for key in laboratory.keys]}}},
    ]
    return listen("tokens", document, hardened=False)


@pytest.fixture(autouse=True)
def no_traps(request):
    """No test may trap the VM, nor make Envoy skip the filter."""
    yield
    if "envoy" in request.fixturenames:
        running = request.getfixturevalue("envoy")
        assert running.wasm_vm_reloads() == 0, running.log
        assert running.skipped_filters() == 0, running.log


@pytest.fixture(autouse=True)
def fresh_upstream(request):
    """Each test starts with an upstream that answers as usual and has seen nothing, and leaves it so
    to what is set up before the next test."""
    if "upstream" not in request.fixturenames:
        yield
        return
    upstream = request.getfixturevalue("upstream")
    upstream.clear()
    yield
    upstream.clear()


def pytest_configure(config):
    config.addinivalue_line(
        "markers", "last: runs after everything else, on what all tests left behind")


def pytest_collection_modifyitems(items):
    items.sort(key=lambda item: item.get_closest_marker("last") is not None)
