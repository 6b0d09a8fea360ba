"""Thousands of requests at random, through Envoy as some patient and directly to the real FHIR server:
nothing that comes back may be another's or out of scope, and what is theirs may not be missing.

`PHIWARD_SEED` and `PHIWARD_REQUESTS` choose another run. A request is made from the seed and its own
number, so a failure is seen again with the same seed."""

import json
import os
import re
import time
import traceback
from collections import Counter, defaultdict
from dataclasses import replace
from random import Random
from urllib.parse import quote

import families
import pytest
from families import BASE
from generator import JSON, PARAMETERS, PATCH, Generator, Request
from oracle import PATHS, SHARED, Context, Holder, is_evaluable, is_mine, plain, type_in_scope

from lab.fhir_server import FhirServer
from lab.http import Client

SEED = int(os.environ.get("PHIWARD_SEED", "20261122"))
REQUESTS = int(os.environ.get("PHIWARD_REQUESTS", "8000"))

# Forms, and how often each is sent.
FORMS = {
    "plain": 10, "repeat": 4, "listed": 4, "escaped": 3, "modified": 5, "prefixed": 4, "encoded": 3,
    "about": 8, "chain": 5, "has": 5, "include": 6, "revinclude": 6, "iterate": 4, "wildcard": 3,
    "elements": 3, "summary": 4, "totals": 2, "sorted": 3, "paged": 4, "ids": 5, "posted": 5,
    "compartment": 6, "everywhere": 2, "dubious": 3, "by_id": 10, "by_version": 4, "history": 4, "binary": 1,
    "selected": 2, "conditional": 2, "head": 1, "everything": 3, "operation": 2, "batch": 6,
}
WRITES = {"create": 6, "update": 6, "conditional_write": 3, "patch": 5, "delete": 4, "written_bundle": 5}
# What is refused to whoever is confined to a patient.
REFUSED = {"everywhere", "dubious", "head", "operation"}

OBSERVATION = f"Observation.{{}}?category={families.OBSERVATION_CATEGORY}|{{}}"
CONDITION = f"Condition.{{}}?category={families.CONDITION_CATEGORY}|{{}}"
# Scopes of apps that act for a patient, and how often they do.
SCOPES = {
    "all": (8, ["*.cruds"]), "version 1": (3, ["*.*"]), "read of version 1": (1, ["*.read"]),
    "few": (4, ["Observation.rs", "Patient.r", "Encounter.rs", "Practitioner.r", "MedicationRequest.rs"]),
    "read": (1, ["*.r"]), "search": (1, ["*.s"]),
    "laboratory": (3, [OBSERVATION.format("rs", "laboratory"), "Patient.rs", "Encounter.rs?status=finished",
                       "Provenance.rs"]),
    "two categories": (3, [OBSERVATION.format("cruds", "laboratory"), OBSERVATION.format("rs", "survey"),
                           CONDITION.format("rs", "problem-list-item"), "DiagnosticReport.rs"]),
    "granular search": (1, ["*.r", OBSERVATION.format("s", "survey")]),
    "two parameters": (1, [
        OBSERVATION.format("rs", "laboratory") + "&status=amended",
        "Observation.rs?code=http://loinc.org|8867-4", "MedicationRequest.rs?status=active"]),
    "some letters": (2, ["Observation.rus", "Condition.crs", "Appointment.cds", "Patient.u"]),
    "granular writes": (2, [OBSERVATION.format("cruds", "survey"), "Patient.rs"]),
    "not evaluated": (1, ["Observation.rs?code:in=http://values.example", "Condition.rs", "Patient.rs"]),
    "malformed": (1, ["Observation.sr", "observation.rs", "Encounter.rsx", "Condition.rs?", "Patient.rs"]),
}


class Clinic:
    """The families' server, and the listeners before it."""

    def __init__(self, fhir, gateways, holders):
        self.fhir, self.gateways, self.holders = fhir, gateways, holders
        self.direct = Client(fhir.port)
        self._answers, self._visible = {}, {}
        self.versions = Versions(self.history())
        self.state = {one: self.versions.latest[one] for one in self.versions.current}

    def written(self):
        """How many versions were written so far."""
        return self.direct.get("/fhir/_history?_count=1").json()["total"]

    def history(self, count=1000):
        """The newest versions, newest first."""
        entries = self.direct.get(f"/fhir/_history?_count={count}").json()["entry"]
        assert len(entries) < 1000
        return entries

    def ask(self, target):
        """What the FHIR server itself finds; remembered."""
        if target not in self._answers:
            self._answers[target] = self.direct.get(f"/fhir/{target}")
        return self._answers[target]

    def visible(self, holder, mode):
        """Types and ids of which the holder may see at least one version; remembered."""
        if (holder.name, mode) not in self._visible:
            self._visible[holder.name, mode] = {
                key[:2] for key, one in self.versions.all.items()
                if any(holder.may(letter, one, mode) for letter in "rscu")}
        return self._visible[holder.name, mode]


class Versions:
    """Everything that the server holds, in every version."""

    def __init__(self, history):
        self.all, self.current, latest = {}, [], set()
        for entry in history:  # newest first
            kind, ident = address(entry["fullUrl"])
            resource = entry.get("resource")
            if resource:
                self.all[kind, ident, resource["meta"]["versionId"]] = resource
            if (kind, ident) not in latest and resource:
                self.current.append((kind, ident))
            latest.add((kind, ident))
        self.current.sort()
        self.latest = {key[:2]: one for key, one in reversed(self.all.items())}
        self._about, self._by_id = {}, defaultdict(list)
        for (kind, ident, _), one in self.all.items():
            self._by_id[kind, ident].append(one)
        self.marks = {families.mark(*key): key for key in latest}

    def of(self, kind):
        return [self.latest[key] for key in self.current if key[0] == kind]

    def about(self, patient):
        """Types and ids of what is about the patient."""
        if patient not in self._about:
            self._about[patient] = [
                one for one in self.current if is_mine(self.latest[one], patient, "subject")]
        return self._about[patient]

    def of_id(self, kind, ident):
        return self._by_id[kind, ident]


class Run:
    """One run: its requests, what they met, what is wrong."""

    def __init__(self, clinic):
        self.clinic, self.wrong = clinic, defaultdict(list)
        self.sent, self.allowed, self.refused = Counter(), Counter(), Counter()
        self.reasons, self.counted = defaultdict(Counter), Counter()
        self.seen = self.removed = self.complete = self.obliged = self.requests = 0

    def one(self, number, forms):
        case = Case(self, number, forms)
        try:
            case.run()
        except (LookupError, TypeError, ValueError, AttributeError):  # an answer of another shape
            case.fail("not understood", traceback.format_exc())

    def samples(self, each=2):
        """How much is wrong of what kind, with examples."""
        for (what, form), cases in self.wrong.items():
            yield f"{len(cases)} times `{what}` of form `{form}`, for example:"
            yield from cases[:each]

    def report(self, seconds):
        lines = [f"seed {SEED}: {self.requests} requests in {seconds:.0f} s, {self.seen} resources seen, "
                 f"{self.complete} searches compared, {self.removed} resources withheld from them",
                 f"  {self.counted['allowed']} of {self.counted['sent']} allowed of what may be allowed, "
                 f"{self.obliged} had to be"]
        for form in (*FORMS, *WRITES):
            reasons = ", ".join(f"{reason} {count}" for reason, count in self.reasons[form].most_common(6))
            lines.append(f"  {form:18} sent {self.sent[form]:4}  allowed {self.allowed[form]:4}  "
                         f"refused {self.refused[form]:4}  {reasons}")
        return "\n".join(lines)


class Case:
    """One number of a run: a request at random, and what must hold of its answer."""

    def __init__(self, run, number, forms):
        self.run_, self.clinic, self.number = run, run.clinic, number
        random = Random(f"{SEED}/{number}")
        (form,) = random.choices(tuple(forms), tuple(forms.values()))
        modes = tuple(self.clinic.gateways)
        (self.mode,) = random.choices(modes, (3, 1)[:len(modes)])
        weights = [weight for weight, _ in self.clinic.holders]
        ((_, self.holder),) = random.choices(self.clinic.holders, weights)
        self.gateway = self.clinic.gateways[self.mode]
        patient = random.choice(self.holder.patients or ["ann", "bob"])
        self.request = Generator(random, patient, self.clinic.versions, self.holder.covers).request(form)
        self.confined = all(context.patient for context in self.holder.contexts)

    def run(self):
        request = self.request
        before = self.clinic.written() if request.write else None
        must_pass = self._must_pass(self.request)
        self.run_.obliged += must_pass
        response = self.send(request)
        self._count(response)
        if request.write:
            self.check_written(response, before)
        if must_pass and response.reason:
            self.fail("wrongly refused", f"{response.status} {response.reason}")
        if response.status >= 300:
            self.check_refusal(response)
            return
        answer = self.check_sound(response)
        if answer is None:
            return
        if request.search:
            self.check_search(request.search, answer)
        elif request.read:
            self.check_read(request, answer)
        elif request.parts:
            self.check_batch(request.parts, answer)
        elif request.types is not None:
            self.check_everything(request.types, answer)

    def send(self, request):
        self.run_.requests += 1
        slash = "" if request.target[:1] in ("", "?") else "/"
        target = f"/fhir{slash}{request.target}"
        return self.gateway.request(request.method, target, request.headers, request.body, self.holder.token)

    def fail(self, what, *details):
        form = self.request.form
        self.run_.wrong[what, form].append("\n    ".join([
            f"{what}: number {self.number}, form {form}, membership {self.mode}, holder {self.holder.name}",
            *map(str, self.holder.contexts), str(self.request), *map(str, details)]))

    def _count(self, response):
        run, form = self.run_, self.request.form
        run.sent[form] += 1
        allowed = response.status < 300
        (run.allowed if allowed else run.refused)[form] += 1
        if not allowed:
            run.reasons[form][response.reason or f"server {response.status}"] += 1
        if form not in REFUSED:
            run.counted["sent"] += 1
            run.counted["allowed"] += allowed

    # Nothing of others.

    def check_sound(self, response):
        """Judges every resource in the answer, and every trace of one; returns the answer."""
        if self.confined and response.status == 206 and not self._is_open():
            self.fail("leak", f"status {response.status} to a confined request")
        if not response.body:
            return None
        if "json" not in (response.header("content-type") or "json"):
            if self.confined and not self._is_open():
                self.fail("leak", f"an answer that is not JSON: {response.headers}")
            return None
        answer = json.loads(response.body)
        for found, permission, around in resources_in(answer, "c" if self.request.write else "r"):
            self.run_.seen += 1
            if not self.may_see(found, permission, around):
                self.fail("leak", f"{found['resourceType']}/{found.get('id')}", short(found))
        self._check_traces(response.body.decode(), answer)
        return answer

    def may_see(self, found, permission, around):
        """Whether the holder may: judged by what the server holds, as the answer may be a part of it."""
        kind = found["resourceType"]
        if permission == "s" and self.request.types is not None:  # what an operation gives is read
            permission = "r"
        if kind in ("Bundle", "OperationOutcome"):
            return (kind, found.get("id")) not in self.clinic.versions.latest
        version = found.get("meta", {}).get("versionId")
        stored = self.clinic.versions.all.get((kind, found.get("id"), version), found)
        if permission == "contained":
            whole = any(self.holder.may_anyones(around["resourceType"], letter) for letter in "rs")
            return whole or self.holder.may_contain(found)
        if permission == "c":
            return any(self.holder.may(letter, stored, self.mode) for letter in "cru")
        return self.holder.may(permission, stored, self.mode) or permission == "r" and self._is_vouched(stored)

    def _is_vouched(self, binary):
        """Whether this is a Binary of something in the compartment that one context may read, asked for by
        its id."""
        if binary["resourceType"] != "Binary":
            return False
        of = binary.get("securityContext", {}).get("reference", "").removeprefix(f"{BASE}/")
        kind, _, ident = of.partition("/")
        tells = kind in PATHS and kind != "Patient" and self._stored(kind, ident, None)
        contexts = (replace(self.holder, contexts=(context,)) for context in self.holder.contexts)
        return bool(tells) and any(
            one.covers("Binary", "r") and one.may("r", tells, self.mode) for one in contexts)

    def _check_traces(self, text, answer):
        versions = self.clinic.versions
        for mark in set(re.findall(r"mark-[0-9a-f]{16}", text)):
            if mark not in self._asked() and not self._visible(*versions.marks.get(mark, ("", ""))):
                self.fail("leak", f"the text of {versions.marks.get(mark)}")
        for url in re.findall(r'"fullUrl":\s*"([^"]+)"', text):
            kind, _, ident = url.removeprefix(f"{BASE}/").partition("/")
            if versions.of_id(kind, ident) and not self._visible(kind, ident):
                self.fail("leak", f"the address {url}")
        for outcome in outcomes_in(answer):
            self._check_words(json.dumps(outcome))

    def check_refusal(self, response):
        """A refusal tells nothing about what is there."""
        if not self.confined:
            return
        self._check_words(response.body.decode())
        told = [name for name in _TELLING if response.header(name)]
        if told and not self._is_open():
            self.fail("leak", f"{response.status} with {told}")
        if response.reason and self.request.read:
            self._check_twin(response, self.request.read[1])

    def _is_open(self):
        """Whether the request is for what is about nobody, or by id for what is theirs: nothing to hide."""
        kind, ident = (re.split("[/?]", self.request.target) + [""])[:2]
        return kind in SHARED or self._visible(kind, ident)

    def _check_words(self, text):
        """No id of what others have, but those that were in the request or are in the token."""
        for word in set(re.findall(r"[A-Za-z0-9.-]+", text)) & self._foreign_ids():
            if word not in self._asked() and word not in self.holder.patients:
                self.fail("leak", f"the id {word} in: {text[:500]}")

    def _foreign_ids(self):
        visible = self.clinic.visible(self.holder, self.mode)
        return {ident for kind, ident in self.clinic.versions.current
                if re.search(r"[-0-9]", ident) and (kind, ident) not in visible}

    def _asked(self):
        return f"{self.request.target} {self.request.headers} {self.request.body.decode()}"

    def _visible(self, kind, ident):
        return (kind, ident) in self.clinic.visible(self.holder, self.mode)

    def _check_twin(self, response, ident):
        """What is another's is refused like what is not there."""
        target = self.request.target.replace(f"/{ident}", "/nobody-has-this-id-either", 1)
        twin = self.send(replace(self.request, target=target))
        if (twin.status, shape(twin)) != (response.status, shape(response)):
            self.fail("tells", f"{response.status} {shape(response)}", f"missing: {twin.status} {shape(twin)}")

    def _must_pass(self, request):
        """Whether this may not be refused: it is in scope, and nothing in it reaches further."""
        if request.parts:
            whole = b'"transaction"' in request.body  # older versions can't be looked up before it goes on
            return all(
                self._must_pass(part) and not (whole and part.read and part.read[2])
                and not (part.search and "count" in part.search.values("_summary")) for part in request.parts)
        if request.types is not None:
            return any(self._opens_everything(context, request) for context in self.holder.contexts)
        if request.read:
            kind, ident, version = request.read
            stored = self._stored(kind, ident, None if version == "history" else version)
            return stored is not None and (self.holder.may_with_contained("r", stored, self.mode)
                                           or version is None and self._is_vouched(stored))
        if request.search:
            return self._is_harmless(request.search) and any(
                self._opens(context, request.search) for context in self.holder.contexts)
        if request.write and request.document and "?" not in request.target:
            return self._must_write(request)
        return False

    def _opens_everything(self, context, request):
        """Whether a context opens `$everything` of these types."""
        scopes = plain(context.scopes)
        return request.target.split("/")[1] == context.patient and all(
            type_in_scope(kind, scopes, letter) for kind in request.types or ("*",) for letter in "rs")

    def _is_harmless(self, search):
        """Whether a search has only criteria on its own type that name nobody."""
        if self.mode == "definition" and search.form is not None:
            return False
        named = PARAMETERS[search.kind]
        return all(
            name in named and named[name][0] != "reference" or name in _HARMLESS
            or name == "_id" and search.kind != "Patient" or name == "_sort" and "." not in value
            or name in ("_include", "_revinclude", "_include:iterate") and self._includes_all(search.kind, value)
            for name, value in search.parameters)

    def _includes_all(self, kind, value):
        """Whether a context may read whatever this includes."""
        return value.startswith(f"{kind}:") and any(
            type_in_scope("*", plain(context.scopes), "r") for context in self.holder.contexts)

    def _opens(self, context, search):
        """Whether a context opens a search of the type."""
        kind = search.kind
        if search.owner and (kind not in PATHS or not search.owner.startswith("Patient/")):
            return False
        inside = kind in PATHS and (self.mode == "definition" or PATHS[kind][0] or kind == "Patient")
        if context.patient and (search.owner not in (None, f"Patient/{context.patient}")
                                or not inside and kind not in SHARED):
            return False
        scopes = [scope for scope in context.scopes if is_evaluable(scope, kind)]
        counts = "count" in search.values("_summary")
        return type_in_scope(kind, plain(scopes) if counts else scopes, "s")

    def _must_write(self, request):
        """Whether a write of what is theirs, or a patch of its status, may not be refused."""
        if any(name == "if-none-exist" for name, _ in request.headers):
            return False
        kind, _, ident = request.target.partition("/")
        stored = self._stored(kind, ident, None)
        known = self.clinic.direct.get(f"/fhir/{request.target}").status if ident else 404
        if request.method != "POST" and stored is None and known != 404:
            return False
        may = self.holder.may_write
        if request.method == "PATCH":
            harmless = all(one["path"] in ("/status", "/valueQuantity/value") for one in request.document)
            return stored is not None and harmless and may("u", stored, self.mode)
        if kind == "Patient" or kind in SHARED:
            return False
        if stored is None:
            return may("u" if ident else "c", request.document, self.mode, True)
        return may("u", stored, self.mode) and may("u", request.document, self.mode, True)

    def _stored(self, kind, ident, version):
        versions = self.clinic.versions
        if version is None:
            return versions.latest[kind, ident] if (kind, ident) in versions.current else None
        return versions.all.get((kind, ident, version))

    # Nothing missing.

    def check_search(self, search, answer):
        values = search.values("_summary")
        total = answer.get("total")
        direct = self._direct(search)
        if direct is None or "_offset" in dict(search.parameters):
            return
        matches, _ = direct
        if total is not None:
            most = sum(self.holder.counted(one, self.mode) for one in matches)
            if total > most:
                self.fail("leak", f"a total of {total} where {most} can be counted")
        if "count" in values or "0" in search.values("_count")[-1:]:
            return
        found, whole = self._pages(answer)
        if not whole:
            return
        self.run_.complete += 1
        missing = [self._missing(search, matches, found, holder) for holder in self.holder.apart(search.kind)]
        if missing and all(missing):
            self.fail(*missing[0], f"found {sorted(map(str, found))}")

    def _missing(self, search, matches, found, holder):
        """What of this holder's a search has not found, or nothing. Several contexts of a token are
        narrowed one by one: what one of them may see must be there."""
        expected = [one for one in matches if self._expects("s", one, holder)]
        self.run_.removed += len(matches) - len(expected)
        missing = [one for one in expected if key(one) not in found]
        if missing:
            return "missing match", sorted(map(key, missing))
        if expected and any(name.startswith(("_include", "_revinclude")) for name, _ in search.parameters):
            _, included = self._direct(search, [("_id", ",".join(one["id"] for one in expected))])
            missing = [one for one in included if self._expects("r", one, holder) and key(one) not in found]
            if missing:
                return "missing include", sorted(map(key, missing))
        return None

    def _expects(self, permission, resource, holder=None):
        return ((holder or self.holder).may_with_contained(permission, resource, self.mode)
                and (self.mode == "subject" or not self._unindexed(resource)))

    def _unindexed(self, resource):
        """Whether the server can't find it as a member of the compartment."""
        return resource["resourceType"] in _UNINDEXED or any(
            f"{resource['resourceType']}/{resource['id']}" == one for one in _UNINDEXED)

    def _direct(self, search, more=()):
        """Matches and includes of the same search, asked of the FHIR server itself."""
        parameters = [(name, value) for name, value in search.parameters
                      if name not in ("_count", "_offset", "_summary", "_elements")]
        pairs = [*parameters, *more, ("_count", "1000")]
        query = "&".join(f"{quote(name)}={quote(value)}" for name, value in pairs)
        response = self.clinic.ask(f"{search.path}?{query}")
        if response.status != 200:
            return None
        entries = response.json().get("entry", [])
        return [[entry["resource"] for entry in entries if entry["search"]["mode"] == mode]
                for mode in ("match", "include")]

    def _pages(self, answer):
        """The resources of a search, page by page; whether all pages came."""
        found, pages = {}, 0
        while True:
            found |= {key(entry["resource"]): entry["resource"] for entry in answer.get("entry", [])
                      if "resource" in entry}
            links = {link["relation"]: link["url"] for link in answer.get("link", [])}
            following = links.get("next")
            if not following:
                return found, True
            if not following.startswith(f"{BASE}/"):
                self.fail("wrong link", following)
                return found, False
            pages += 1
            response = self.send(Request("", "GET", following.removeprefix(f"{BASE}/")))
            if response.status != 200 or pages > 150:
                self.fail("a page is missing", following, response.status, response.reason)
                return found, False
            answer = self.check_sound(response)

    def check_read(self, request, answer):
        kind, ident, version = request.read
        if version == "history":
            expected = [one for one in self.clinic.versions.of_id(kind, ident) if self._expects("r", one)]
            got = {(key(one), one["meta"]["versionId"]) for one, *_ in resources_in(answer, "r")
                   if one["resourceType"] != "Bundle" and "meta" in one}
            missing = [one for one in expected if (key(one), one["meta"]["versionId"]) not in got]
            if missing and "_count" not in request.target:
                self.fail("missing version", [one["meta"] for one in missing])
        elif key(answer) != (kind, ident):
            self.fail("another resource", key(answer))

    def check_batch(self, parts, answer):
        entries = answer.get("entry", [])
        if len(entries) != len(parts):
            self.fail("missing entry", f"{len(entries)} of {len(parts)}")
            return
        for part, entry in zip(parts, entries):
            resource = entry.get("resource") if entry["response"]["status"].startswith("200") else None
            if part.read and resource:
                self.check_read(part, resource)
            elif part.search and resource and resource["resourceType"] == "Bundle":
                self.check_search(part.search, resource)
            elif part.read and part.read[2] is None:
                stored = self._stored(*part.read)
                if stored and self.holder.may_with_contained("r", stored, self.mode):
                    self.fail("missing entry", part, entry)

    def check_everything(self, types, answer):
        direct = self.clinic.ask(self.request.target.partition("?")[0])
        if direct.status == 200:
            expected = [entry["resource"] for entry in direct.json()["entry"]]
            expected = [
                one for one in expected if (not types or one["resourceType"] in types)
                and self.holder.may_with_contained("r", one, self.mode) and self.holder.may("s", one, self.mode)]
            found = {key(one) for one, *_ in resources_in(answer, "r")}
            missing = [key(one) for one in expected if key(one) not in found]
            if missing:
                self.fail("missing of everything", missing)

    # Nothing written.

    def check_written(self, response, before):
        """Whatever changed was theirs before and after; then it is as it was before."""
        count = self.clinic.written() - before
        changes = self.clinic.history(count)[:count] if count else []
        if changes and response.status >= 300:
            self.fail("written although refused", response.status, response.reason)
        for entry in reversed(changes):
            changed, new = address(entry["fullUrl"]), entry.get("resource")
            old = self.clinic.state.get(changed)
            named = changed[1] in self._asked()  # a PUT that creates is an update
            letter = "d" if new is None else "c" if old is None and not named else "u"
            patched = PATCH[0][1] in self._asked()  # whom it named before it may go on naming
            may = [self.holder.may_write(letter, one, self.mode, anew=one is new and not patched)
                   for one in (old, new) if one is not None]
            if not all(may):
                self.fail("written", changed, f"before {short(old)}", f"after {short(new)}")
            self.clinic.state[changed] = new
        for changed in {address(entry["fullUrl"]) for entry in changes}:
            self._restore(changed)
        if response.reason and self.request.method in ("PATCH", "DELETE") and "?" not in self.request.target:
            kind, _, ident = self.request.target.partition("/")
            self._check_twin(response, ident)

    def _restore(self, changed):
        target = "/fhir/{}/{}".format(*changed)
        before = self.clinic.versions.latest.get(changed) if changed in self.clinic.versions.current else None
        if before is None:
            self.clinic.direct.request("DELETE", target)
            self.clinic.state.pop(changed, None)
        else:
            body = {name: value for name, value in before.items() if name != "meta"}
            self.clinic.direct.request("PUT", target, JSON, json.dumps(body).encode())
            self.clinic.state[changed] = before


def address(url):
    """Type and id."""
    return tuple(url.rsplit("/", 2)[1:])


def key(resource):
    return resource["resourceType"], resource.get("id")


def short(resource):
    return json.dumps(resource)[:700]


def shape(response):
    """A refusal without what each has anew."""
    request_id = response.header("x-request-id") or "?"
    names = sorted({name for name, _ in response.headers} - {"date", "x-envoy-upstream-service-time"})
    return response.body.decode().replace(request_id, ""), names


def resources_in(value, permission, around=None):
    """Every resource in an answer with the permission that it takes and the resource around it, also
    those in Bundles in Bundles."""
    if isinstance(value, list):
        for one in value:
            yield from resources_in(one, permission, around)
    elif isinstance(value, dict):
        if "resourceType" in value:
            yield value, permission, around
            around = value
        search = value.get("search")
        if isinstance(search, dict) and search.get("mode") == "match":
            permission = "s"
        for name, inner in value.items():
            yield from resources_in(inner, "contained" if name == "contained" else permission, around)


def outcomes_in(value):
    if isinstance(value, dict) and value.get("resourceType") == "OperationOutcome":
        yield value
    elif isinstance(value, (dict, list)):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from outcomes_in(inner)


@pytest.fixture(scope="module")
def clinic(envoy, listen, configuration, issuer, tmp_path_factory):
    fhir = FhirServer(tmp_path_factory.mktemp("families"), BASE, envoy.clusters["families"], families.steps())
    fhir.wait()

    def before_the_families(manager):
        manager["route_config"]["virtual_hosts"][0]["routes"][0]["route"]["cluster"] = "families"

    gateways = {}
    for mode in ("subject", "definition"):
        document = configuration()
        document["fhir"]["cluster"] = "families"
        document["smart"] = {"membership": mode}
        gateways[mode] = listen(f"families-{mode}", document, adjust=before_the_families).client
    yield Clinic(fhir, gateways, list(holders(issuer)))
    fhir.stop()


def holders(issuer):
    """Tokens with how often they are used."""
    def holder(weight, name, contexts, scopes, **claims):
        token = issuer.token(" ".join(scopes), lifetime=3000, **claims)
        contexts = tuple(Context(patient, tuple(granted)) for patient, granted in contexts)
        return weight, Holder(name, token, contexts)

    for name, (weight, scopes) in SCOPES.items():
        for person in ("ann", "ann1", "ann-old", "bob") if weight > 1 else ("ann",):
            granted = [f"patient/{scope}" for scope in scopes]
            yield holder(weight * (3 if person == "ann" else 1), f"{name} of {person}", [(person, granted)],
                         [*granted, "openid", "launch/patient"], patient=person, fhirUser=f"Patient/{person}")
    users = ["user/*.cruds"]
    yield holder(2, "user who is ann", [("ann", users)], users, fhirUser="Patient/ann")
    yield holder(2, "user who is ann's friend", [("ann", users)], users, patient="ann",
                 fhirUser="RelatedPerson/ann-friend")
    mixed = (["patient/Observation.rs", "patient/Patient.r"],
             ["user/Condition.rs", "user/Encounter.rs", "user/Patient.rs"])
    yield holder(3, "child's app, user who is ann", [("ann1", mixed[0]), ("ann", mixed[1])], sum(mixed, []),
                 patient="ann1", fhirUser="Patient/ann")
    clinician = ["user/Observation.rs", "user/Patient.r", "user/Provenance.s"]
    yield holder(2, "clinician", [(None, clinician)], clinician, fhirUser="Practitioner/grey")
    both = ["patient/*.rs"], ["user/Practitioner.rs", "user/Observation.rs?status=amended"]
    yield holder(2, "clinician with ann open", [("ann", both[0]), (None, both[1])], sum(both, []), patient="ann",
                 fhirUser="Practitioner/grey")
    system = ["system/" + OBSERVATION.format("rs", "laboratory"), "system/Encounter.rs"]
    yield holder(2, "service", [(None, system)], system)
    yield holder(1, "service with a patient", [], ["system/*.cruds"], patient="ann")


def test_nothing_of_others_comes_back_and_nothing_own_is_missing(clinic, capsys):
    run, started = Run(clinic), time.monotonic()
    writes = REQUESTS // 8
    before = clinic.written()
    for number in range(REQUESTS - writes):
        run.one(number, FORMS)
    assert clinic.written() == before, "a read wrote"
    for number in range(REQUESTS - writes, REQUESTS):
        run.one(number, WRITES)
    report = run.report(time.monotonic() - started)
    with capsys.disabled():
        print(f"\n{report}")
    assert not run.wrong, "\n\n".join([report, *run.samples()])
    assert run.counted["allowed"] >= 0.4 * run.counted["sent"], run.counted
    for form in set(FORMS) | set(WRITES):
        if form not in REFUSED and run.sent[form] > 20:
            assert run.allowed[form], f"none of {run.sent[form]} `{form}` was allowed"


# What the server has no index for: their searches are refused, or find nothing in a compartment.
_UNINDEXED = {"QuestionnaireResponse", "List", "Person", "Schedule", "CarePlan/bob-care-plan"}
# Parameters that only shape an answer.
_HARMLESS = ("_count", "_elements", "_summary", "_total", "_lastUpdated")
# What would tell that something is there.
_TELLING = ("etag", "last-modified", "location", "content-location")
