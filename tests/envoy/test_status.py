"""What operators see of the sources: gauges, and a line a minute."""

import json
import re
import time

import pytest

PREFIX = "wasmcustom.phiward."


@pytest.fixture(scope="module")
def sources(spare_lists, listen, configuration):
    """A listener with a revocation list of its own, and that list."""
    lists = spare_lists.pop()
    document = configuration()
    document["revocation"] |= {"cluster": str(lists.port), "url": lists.list_url, "max_staleness": "3s"}
    return listen("status", document), lists


def lines(gate):
    text = gate.envoy.log.read_text(errors="replace")
    return [json.loads(line) for line in re.findall(r"phiward\.status (\{.*\})", text)]


def by_metric(line):
    return {source["metric"]: source for source in line["sources"]}


def test_gauges_tell_age_entries_and_freshness(sources):
    gate, _ = sources
    deadline = time.monotonic() + 15
    wanted = {f"{PREFIX}{source}.{what}" for source in ("keys.0", "revocation_list")
              for what in ("age_seconds", "entries", "fresh")}
    while not wanted <= gate.envoy.stats(PREFIX.replace(".", "[.]")).keys():
        assert time.monotonic() < deadline, gate.envoy.stats(PREFIX)
        time.sleep(0.2)
    stats = gate.envoy.stats(PREFIX.replace(".", "[.]"))
    assert stats[f"{PREFIX}keys.0.entries"] == 2


def test_one_worker_writes_what_all_know(sources):
    gate, lists = sources
    deadline = time.monotonic() + 15
    # The listeners of all tests write to this log.
    while not (found := [told for told in map(by_metric, lines(gate)) if {"keys.0", "revocation_list"} <= told.keys()]):
        assert time.monotonic() < deadline
        time.sleep(0.2)
    told = found[-1]
    assert set(told["keys.0"]) == {"source", "metric", "state", "version", "age", "entries", "problem"}
    assert all("127.0.0.1" not in json.dumps(source["problem"]) for source in told.values())
