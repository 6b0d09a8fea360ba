"""The same requests of an app to two servers: one holds both families, the other only what this app may
see. Could it tell them apart, it would learn something of the others: through a chain, a count, an
order, an error. Requests are made as in `test_differential`."""

import json
from collections import Counter
from random import Random

import families
import pytest
from families import BASE
from generator import Generator
from oracle import SHARED, Context, Holder
from test_differential import FORMS, REQUESTS, SCOPES, SEED, WRITES, Clinic

from lab.fhir_server import FhirServer

# Not compared: versions, which are counted by all who wrote them; what is included by way of somebody
# else's resource and theirs all the same; updates, for an id that is taken can't be created.
READ = {form: weight for form, weight in FORMS.items() if form not in ("by_version", "history", "iterate")}
WRITTEN = {form: WRITES[form] for form in ("create", "conditional_write", "patch", "delete")}


@pytest.fixture(scope="module", params=["all, subject", "two categories, definition"])
def pair(request, envoy, listen, configuration, issuer, tmp_path_factory):
    """The app, what the server with everybody holds, and the ways through the filter to both servers."""
    scopes, mode = request.param.split(", ")
    scopes = tuple(f"patient/{scope}" for scope in SCOPES[scopes][1])
    token = issuer.token(" ".join(scopes), lifetime=3000, patient="ann", fhirUser="Patient/ann")
    holder = Holder(request.param, token, (Context("ann", scopes),))
    everything = list(families.steps())
    last = {address(step): step for step in everything}
    hers = [step for step in everything if is_seen(holder, last, address(step), mode)]
    servers, gateways = [], []
    for name, steps in ("families", everything), ("alone", hers):
        servers.append(FhirServer(tmp_path_factory.mktemp(name), BASE, envoy.clusters[name], steps))
        servers[-1].wait()
        document = configuration()
        document["fhir"]["cluster"] = name
        document["smart"] = {"membership": mode}

        def before(manager, name=name):
            manager["route_config"]["virtual_hosts"][0]["routes"][0]["route"]["cluster"] = name

        gateways.append(listen(f"{name}, {request.param}", document, adjust=before).client)
    yield holder, Clinic(servers[0], {}, []).versions, gateways
    for server in servers:
        server.stop()


def address(step):
    return step if isinstance(step, tuple) else (step["resourceType"], step["id"])


def is_seen(holder, last, which, mode):
    """Whether the app may see a resource, or the server takes it for one of hers; or a deletion is."""
    found = last[which]
    if isinstance(found, tuple):
        return which[1].startswith("ann-")
    return (which == ("Patient", "ann") or found["resourceType"] in SHARED
            or holder.may("r", found, mode) or holder.counted(found, mode)
            or is_vouched(holder, last, found, mode))


def is_vouched(holder, last, found, mode):
    """Whether this is a Binary of a resource that the app may see."""
    of = found.get("securityContext", {}).get("reference", "").removeprefix(f"{BASE}/")
    kind, _, ident = of.partition("/")
    tells = last.get((kind, ident))
    return (found["resourceType"] == "Binary" and kind != "Patient" and isinstance(tells, dict)
            and holder.may("r", tells, mode))


def test_an_app_can_not_tell_whether_others_are_there(pair, capsys):
    holder, versions, gateways = pair
    requests = REQUESTS // 10
    told, same = [], Counter()
    for number in range(requests):
        random = Random(f"{SEED}/{number}")
        forms = READ if number < requests * 3 // 4 else WRITTEN
        (form,) = random.choices(tuple(forms), tuple(forms.values()))
        request = Generator(random, "ann", versions, holder.covers).request(form)
        slash = "" if request.target[:1] in ("", "?") else "/"
        answers = [
            shown(gateway.request(request.method, f"/fhir{slash}{request.target}", request.headers,
                                  request.body, holder.token), form in WRITTEN) for gateway in gateways]
        differences = list(difference(*answers))
        if differences:
            told.append("\n  ".join([f"number {number}, form {form}: {request}", *differences]))
        else:
            same[answers[0]["status"]] += 1
    with capsys.disabled():
        print(f"\nseed {SEED}, {holder.name}: {requests} requests to both servers, {len(told)} answered "
              f"otherwise; by status: {dict(same)}")
    assert same[200] > requests / 5
    assert not told, "\n\n".join([f"{len(told)} times", *told[:20]])


def shown(response, written):
    """Status and body without what each answer has anew."""
    if not response.body or "json" not in (response.header("content-type") or "json"):
        return {"status": response.status, "length": len(response.body)}
    body = response.body.decode().replace(response.header("x-request-id") or "?", "")
    answer = settled(json.loads(body))
    if written:
        answer.pop("id", None)
    return {"status": response.status, "body": answer}


def settled(value):
    if isinstance(value, list):
        return [settled(one) for one in value if not is_notice(one)]
    if isinstance(value, dict):
        anew = _ANEW | ({"id"} if value.get("resourceType") in ("Bundle", "OperationOutcome") else set())
        return {name: settled(one) for name, one in value.items() if name not in anew}
    return value


def is_notice(entry):
    """Whether an entry only says that something was removed: something included, which is not there
    where nobody else is."""
    return (isinstance(entry, dict) and entry.get("search") == {"mode": "outcome"}
            and "suppressed" in json.dumps(entry))


def difference(one, other, path=""):
    """Where two values differ, in short. A total is not there when something was removed."""
    if isinstance(one, dict) and isinstance(other, dict):
        for name in {**one, **other}:
            yield from difference(one.get(name), other.get(name), f"{path}/{name}")
    elif isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        for number, (left, right) in enumerate(zip(one, other)):
            yield from difference(left, right, f"{path}/{number}")
    elif one != other and not (path.endswith("/total") and None in (one, other)):
        yield f"{path}: {json.dumps(one)[:500]}"
        yield f"{path}, alone: {json.dumps(other)[:500]}"


_ANEW = {"meta", "lastModified", "etag"}
