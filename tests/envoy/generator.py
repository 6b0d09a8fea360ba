"""Requests at random, from what the families' data holds: each from its own seed, so that one of them
can be made again without the others."""

import json
from dataclasses import dataclass, field
from urllib.parse import quote

import families
from families import BASE, PEOPLE
from oracle import walk

FORM = [("content-type", "application/x-www-form-urlencoded")]
JSON = [("content-type", "application/fhir+json")]
PATCH = [("content-type", "application/json-patch+json")]


@dataclass
class Search:
    """A search: of a type, perhaps in a compartment; `form` is the body of a POST."""

    kind: str
    query: list = field(default_factory=list)
    form: list | None = None
    owner: str | None = None

    @property
    def path(self):
        return f"{self.owner}/{self.kind}" if self.owner else self.kind

    @property
    def parameters(self):
        return self.query + (self.form or [])

    def values(self, name):
        return [value for found, value in self.parameters if found == name]


@dataclass
class Request:
    """A request below the API's base, and what it is for the checks."""

    form: str
    method: str
    target: str
    headers: list = field(default_factory=list)
    body: bytes = b""
    search: Search | None = None
    read: tuple | None = None  # type, id, and version or "history"
    parts: list | None = None  # the requests in a batch
    types: list | None = None  # of an `$everything`: those asked for
    write: str | None = None  # the permission that it needs
    document: object = None  # what is written: a resource or a JSON patch

    def __str__(self):
        body = f" {self.body.decode()[:1500]}" if self.body else ""
        return f"{self.method} {self.target} {self.headers or ''}{body}"


class Generator:
    """Requests of a holder about `patient`, who is mostly theirs, for types that they mostly have a scope
    for: `covers(type, permission)`."""

    def __init__(self, random, patient, versions, covers):
        self.random, self.patient, self.versions, self.covers = random, patient, versions, covers

    def request(self, form):
        made = getattr(self, form)()
        made.form = form
        return made

    # Searches.

    def plain(self):
        search = self._search(self._kind())
        search.query += self._criteria(search.kind, self.random.choice((0, 1, 1, 2)))
        return self._get(search)

    def repeat(self):
        search = self._search(self._kind())
        name = self._parameter(search.kind)
        search.query += [(name, self._value(search.kind, name)) for _ in range(self.random.randint(2, 3))]
        return self._get(self._spiced(search))

    def listed(self):
        search = self._search(self._kind())
        name = self._parameter(search.kind)
        values = [self._value(search.kind, name) for _ in range(self.random.randint(2, 5))]
        search.query.append((name, ",".join(values)))
        return self._get(self._spiced(search))

    def escaped(self):
        kind, name, value = self._pick(self._covered((
            ("Patient", "identifier", f"mrn\\,{self._who()}"), ("Patient", "family", "Alder\\, Rowan"),
            ("Patient", "identifier", f"{families.MRN}|mrn\\,{self._who()}"),
            ("Observation", "identifier", f"{self._who()}\\,{self.random.randint(0, 5)}"),
            ("Observation", "identifier", f"urn:lab|{self._who()}\\,1,x"),
            ("Medication", "code", "iron\\,x,iron"),
            ("Observation", "patient", f"{self.patient}\\,{self._stranger()}"),
            ("Observation", "subject", f"Patient/{self.patient}\\,Patient/{self._stranger()}"),
            ("Observation", "patient", f"{self.patient}\\\\,{self._stranger()}"),
            ("Observation", "code", "8867\\-4"), ("Observation", "code", "http://loinc.org\\|8867-4"),
            ("Observation", "_id", f"{self.patient}-obs-1\\,{self._stranger()}-obs-1"),
        )))
        return self._get(self._spiced(Search(kind, [(name, value)])))

    def modified(self):
        search = self._search(self._kind())
        name = self._parameter(search.kind)
        modifier = self._pick(("exact", "contains", "not", "missing", "text", "identifier", "below", "above",
                               "in", "not-in", "of-type", "Patient", "Practitioner", "iterate", "nonsense"))
        value = self._pick(("true", "false")) if modifier == "missing" else self._value(search.kind, name)
        search.query.append((f"{name}:{modifier}", value))
        return self._get(self._spiced(search))

    def prefixed(self):
        kind, name, values = self._pick(self._covered(_COMPARED))
        criteria = [(name, self._pick(_PREFIXES) + self._pick(values.split()))
                    for _ in range(self.random.randint(1, 2))]
        return self._get(self._spiced(Search(kind, criteria)))

    def encoded(self):
        search = self._search(self._kind())
        search.query += self._criteria(search.kind, 1)
        if self._one_in(3):
            search.query.append((self._pick(("patient", "subject", "_include", "_id")), self._who()))
        return self._get(search, style="encoded")

    def about(self):
        """Criteria that name a patient, in every way."""
        (kind,) = self._pick(self._covered([(kind,) for kind in (
            "Observation", "Observation", "Condition", "Encounter", "AllergyIntolerance", "Coverage",
            "Appointment", "Provenance", "Patient", "DiagnosticReport", "Group", "Communication")]))
        search = Search(kind, self._criteria(kind, self.random.choice((0, 0, 1))))
        for _ in range(self.random.choice((1, 1, 1, 2))):
            search.query.append((self._pick(_ABOUT.get(kind, ("patient", "subject"))), self._named()))
        return self._get(self._spiced(search))

    def chain(self):
        (kind,) = self._pick(self._covered([(kind,) for kind in _CHAINS]))
        name = self._pick(_CHAINS[kind])
        return self._get(self._spiced(Search(kind, [(name, self._chained(name))])))

    def has(self):
        kind, name, value = self._pick(self._covered(_HAS))
        value = value.replace("{me}", self._who()).replace("{P}", self.patient)
        return self._get(self._spiced(Search(kind, [(name.replace("{P}", self.patient), value)])))

    def include(self):
        return self._including("_include", _INCLUDES)

    def revinclude(self):
        return self._including("_revinclude", _REVINCLUDES)

    def iterate(self):
        made = self._including("_include:iterate", _INCLUDES, send=False)
        made.query.append(("_revinclude:iterate" if self._one_in(2) else "_include:iterate",
                           self._pick(self._pick((_INCLUDES, _REVINCLUDES))[made.kind])))
        if self._one_in(2):
            made.query.append(("_include", self._pick(_INCLUDES[made.kind])))
        return self._get(made)

    def wildcard(self):
        (kind,) = self._pick(self._covered([(kind,) for kind in _INCLUDES]))
        value = self._pick(("*", f"{kind}:*", f"{kind}:*", "Patient:*"))
        name = self._pick(("_include", "_include:iterate", "_revinclude"))
        return self._get(Search(kind, [(name, value), *self._criteria(kind, self.random.choice((0, 1)))]))

    def elements(self):
        search = self._search(self._kind())
        search.query += self._criteria(search.kind, self.random.choice((0, 1)))
        search.query.append(("_elements", self._pick((
            "code", "status", "id", "subject", "status,code", "category", "text", "contained,text", "name",
            "code,subject.reference"))))
        return self._get(search)

    def summary(self):
        search = self._search(self._kind())
        search.query.append(("_summary", self._pick(("true", "false", "data", "text") + ("count",) * 3)))
        search.query += self._criteria(search.kind, self.random.choice((0, 1)))
        return self._get(search)

    def totals(self):
        search = self._search(self._kind())
        search.query.append(("_total", self._pick(("none", "estimate", "accurate"))))
        search.query += self._criteria(search.kind, self.random.choice((0, 1)))
        return self._get(search)

    def sorted(self):
        search = self._search(self._kind())
        names = ["_id", "_lastUpdated", *PARAMETERS[search.kind]]
        keys = [self._pick(("", "-")) + self._pick(names) for _ in range(self.random.randint(1, 3))]
        search.query.append(("_sort", ",".join(keys)))
        if self._one_in(8):
            search.query.append(
                ("_sort", self._pick(("patient.name", "subject:Patient.birthdate", "-subject"))))
        return self._get(search)

    def paged(self):
        kinds = ("Observation", "Observation", "Condition", "Encounter", "Provenance")
        (kind,) = self._pick(self._covered([(kind,) for kind in kinds]))
        search = self._search(kind)
        search.query.append(("_count", self._pick(("1", "2", "3", "5", "0", "1000"))))
        search.query += self._criteria(search.kind, self.random.choice((0, 0, 1)))
        if self._one_in(5):
            search.query.append(("_offset", str(self.random.randint(0, 20))))
        return self._get(search)

    def ids(self):
        kind = self._kind()
        known = [ident for found, ident in self.versions.current if found == kind] or ["none"]
        own = [ident for found, ident in self.versions.about(self.patient) if found == kind] or known
        some = [self._pick(own if self._one_in(2) else known) for _ in range(self.random.randint(1, 4))]
        return self._get(self._spiced(Search(kind, [("_id", ",".join(some))])))

    def posted(self):
        search = self._search(self._kind())
        search.form = []
        for name, value in self._criteria(search.kind, self.random.randint(0, 3)):
            (search.form if self._one_in(2) else search.query).append((name, value))
        if self._one_in(4):
            name = self._pick(_ABOUT.get(search.kind, ("patient", "subject")))
            (search.form if self._one_in(2) else search.query).append((name, self._named()))
        if self._one_in(4):
            search.form.append(("_count", self._pick(("2", "20"))))
        return self._get(search)

    def compartment(self):
        search = self._search(self._kind())
        search.owner = self._pick((f"Patient/{self.patient}",) * 5 + (
            f"Patient/{self._stranger()}", f"Encounter/{self._who()}-visit-1", "Practitioner/grey"))
        search.query += self._criteria(search.kind, self.random.choice((0, 1, 1)))
        return self._get(self._spiced(search))

    def everywhere(self):
        """Searches and histories over more than a type."""
        return Request("", "GET", self._pick((
            "?_type=Observation", "?_type=Observation,Patient&_count=5", "?_id=ann", "_history",
            "_history?_count=5", "Observation/_history", "Patient/_history?_count=3", "Practitioner/_history",
            f"Patient/{self.patient}/*", "")))

    def dubious(self):
        """Parameters that reach further, or that nobody knows."""
        name, value = self._pick((
            ("_filter", f"subject eq Patient/{self._stranger()}"), ("_query", "everything"),
            ("_list", "of-ann"), ("_type", "Patient"), ("_cascade", "delete"),
            ("_contained", "true"), ("_contained", "both"), ("_containedType", "container"),
            ("_getpages", "12345"), ("_has", "Observation"), ("_text", "mark"), ("_content", "mark"),
            ("_INCLUDE", "Observation:subject"), ("_include ", "Observation:subject"), ("_method", "DELETE"),
            ("_format", "xml"), ("_format", "json"), ("_pretty", "true"), ("nonsense", "1"),
            ("_revinclude:recurse", "Observation:subject"), ("_include:recurse", "Observation:subject")))
        return self._get(Search(self._kind(), [(name, value)]))

    # By id.

    def by_id(self):
        kind, ident = self._resource()
        return Request("", "GET", f"{kind}/{ident}", read=(kind, ident, None))

    def by_version(self):
        kind, ident = self._resource()
        version = self._pick(("1", "1", "1", "2", "99"))
        target = f"{kind}/{ident}/_history/{version}"
        return Request("", "GET", target, read=(kind, ident, version))

    def history(self):
        kind, ident = self._resource()
        query = self._pick(("", "", "", "?_count=5", "?_count=1", "?_since=2020-01-01"))
        return Request("", "GET", f"{kind}/{ident}/_history{query}", read=(kind, ident, "history"))

    def binary(self):
        ident = self._pick(("scan", "scan-2"))
        ident = f"{self._who()}-{ident}"
        return Request("", "GET", f"Binary/{ident}", read=("Binary", ident, None))

    def selected(self):
        """A read of parts of a resource."""
        kind, ident = self._resource()
        query = self._pick((
            "_elements=code", "_elements=id,text", "_summary=true", "_summary=text", "_summary=data",
            "_summary=count", "_pretty=true", "_format=json"))
        return Request("", "GET", f"{kind}/{ident}?{query}")

    def conditional(self):
        kind, ident = self._resource()
        header = self._pick((("if-none-match", 'W/"1"'), ("if-none-match", 'W/"2"'), ("if-none-match", "*"),
                             ("if-modified-since", "Fri, 01 Jan 2100 00:00:00 GMT"), ("range", "bytes=0-20"),
                             ("accept-encoding", "gzip"), ("accept", "application/json"),
                             ("x-http-method-override", "DELETE")))
        return Request("", "GET", f"{kind}/{ident}", [header])

    def head(self):
        kind, ident = self._resource()
        return Request("", "HEAD", self._pick((f"{kind}/{ident}", kind, f"{kind}?_id={ident}")))

    # Operations and Bundles.

    def everything(self):
        who = self._pick((self.patient,) * 4 + (self._stranger(),))
        types = self._pick(([], [], ["Observation"], ["Observation", "Condition", "Patient"],
                            ["Practitioner"], ["Task"]))
        target, named = f"Patient/{who}/$everything", ",".join(types)
        if self._one_in(4):
            parameters = [{"name": "_type", "valueString": named}] if types else []
            body = {"resourceType": "Parameters", "parameter": parameters}
            return Request("", "POST", target, JSON, _bytes(body), types=types)
        more = self._pick(("", "", "_count=100", "_since=2020-01-01", "start=2020-01-01"))
        query = "&".join(part for part in (f"_type={named}" if types else "", more) if part)
        return Request("", "GET", f"{target}?{query}" if query else target, types=types)

    def operation(self):
        kind, ident = self._resource()
        target = self._pick((
            "Patient/$everything", "$export", "Group/walkers/$export", "Group/walkers/$everything",
            "Patient/$match", f"{kind}/{ident}/$meta", f"{kind}/{ident}/$validate",
            f"Observation/$lastn?patient={self._who()}", f"Encounter/{self._who()}-visit-1/$everything",
            f"Patient/{self._who()}/$export", f"$graphql?query={{Patient(id:{self._who()}){{id}}}}",
            f"DocumentReference/$docref?patient={self._who()}"))
        return Request("", "GET", target)

    def batch(self):
        makers = (self.plain, self.about, self.ids, self.by_id, self.by_id, self.by_version, self.history,
                  self.paged, self.include, self.summary)
        own = not self._one_in(4)
        parts = [(self.by_own_id if own else self._pick(makers))() for _ in range(self.random.randint(1, 5))]
        if own:
            parts += [self.plain() for _ in range(self.random.randint(0, 3))]
        entries = [{"request": {"method": "GET", "url": self._pick(("", "", "", f"{BASE}/")) + part.target}}
                   for part in parts]
        kind = self._pick(("batch", "batch", "transaction"))
        return self._bundle(kind, entries, parts=parts)

    def by_own_id(self):
        kind, ident = self._pick(self._covered(self._own(), "r"))
        return Request("", "GET", f"{kind}/{ident}", read=(kind, ident, None))

    # Writes.

    def create(self):
        body = self._body()
        headers = JSON + ([("if-none-exist", self._none_exist())] if self._one_in(4) else [])
        return Request("", "POST", body["resourceType"], headers, _bytes(body), write="c", document=body)

    def update(self):
        body = self._body()
        body["id"] = self._target()
        target = f"{body['resourceType']}/{body['id']}"
        return Request("", "PUT", target, JSON, _bytes(body), write="u", document=body)

    def conditional_write(self):
        method = self._pick(("PUT", "PATCH", "DELETE"))
        criteria = self._none_exist()
        headers, body = {"PUT": (JSON, _bytes(self._body("Observation"))),
                         "PATCH": (PATCH, _bytes(self._patch())), "DELETE": ([], b"")}[method]
        return Request("", method, f"Observation?{criteria}", headers, body, write="u")

    def patch(self):
        patch, target = self._patch(), f"Observation/{self._target()}"
        return Request("", "PATCH", target, PATCH, _bytes(patch), write="u", document=patch)

    def delete(self):
        return Request("", "DELETE", f"Observation/{self._target()}", write="d")

    def written_bundle(self):
        entries, own = [], self._one_in(2)
        for _ in range(self.random.randint(1, 3)):
            method = self._pick(("POST", "POST", "PUT", "DELETE", "PATCH", "GET"))
            url = f"Observation/{self._target(own)}"
            if method == "POST":
                body, url = self._body("Observation", own), "Observation"
                entry = {"fullUrl": f"urn:uuid:{self._uuid()}", "resource": body}
            elif method == "PUT":
                entry = {"resource": self._body("Observation", own) | {"id": url.partition("/")[2]}}
            else:
                entry = {}
            if method == "PATCH":
                data = families.base64_of(_bytes(self._patch()))
                entry = {"resource": {"resourceType": "Binary", "contentType": PATCH[0][1], "data": data}}
            entries.append({**entry, "request": {"method": method, "url": url}})
        return self._bundle(self._pick(("transaction", "batch")), entries, write="cud")

    # Parts of requests.

    def _get(self, search, style=None):
        style = style or self._pick(("plain", "plain", "strict"))
        query = self._encode(search.query, style)
        if search.form is None:
            target = f"{search.path}?{query}" if query else search.path
            return Request("", "GET", target, search=search)
        target = f"{search.path}/_search" + (f"?{query}" if query else "")
        body = self._encode(search.form, style).encode()
        return Request("", "POST", target, FORM, body, search=search)

    def _encode(self, pairs, style):
        return "&".join(f"{self._escape(name, style)}={self._escape(value, style)}" for name, value in pairs)

    def _escape(self, text, style):
        if style == "encoded":
            return "".join(
                one if one.isalnum() and not self._one_in(3) else f"%{ord(one):02{self._pick('xX')}}"
                for one in text)
        return quote(text, safe="" if style == "strict" else "/:,.-_")

    def _bundle(self, kind, entries, **more):
        body = {"resourceType": "Bundle", "type": kind, "entry": entries}
        return Request("", "POST", "", JSON, _bytes(body), **more)

    def _search(self, kind):
        return Search(kind)

    def _spiced(self, search):
        """Some searches have result parameters as well."""
        if self._one_in(5):
            search.query.append(self._pick((
                ("_count", "2"), ("_count", "50"), ("_sort", "-_lastUpdated"), ("_elements", "code"),
                ("_summary", "true"), ("_total", "accurate"), ("_include", self._pick(_ANY_INCLUDES)))))
        return search

    def _including(self, name, table, send=True):
        (kind,) = self._pick(self._covered([(kind,) for kind in table]))
        search = Search(kind, self._criteria(kind, self.random.choice((0, 1))))
        for _ in range(self.random.choice((1, 1, 2))):
            search.query.append((name, self._pick(table[kind])))
        if self._one_in(6):
            search.query.append(("_count", "3"))
        return self._get(search) if send else search

    def _criteria(self, kind, number):
        """Criteria that name no patient."""
        names = [name for name, (form, _) in PARAMETERS[kind].items() if form != "reference"]
        return [(name, self._value(kind, name)) for name in (self._pick(names) for _ in range(number))]

    def _parameter(self, kind):
        return self._pick(tuple(PARAMETERS[kind]))

    def _value(self, kind, name):
        form, path = PARAMETERS[kind][name]
        found = [value for one in self.versions.of(kind) for value in walk(one, path) if value is not None]
        return getattr(self, f"_{form}")(self._pick(found)) if found else "x"

    def _token(self, value):
        if isinstance(value, dict):
            value = self._pick(value["coding"]) if value.get("coding") else value
            code, system = value.get("code", value.get("value", "x")), value.get("system", "")
            return self._pick((code, f"{system}|{code}", f"{system}|", code)).replace(",", "\\,")
        return str(value).lower() if isinstance(value, bool) else str(value)

    def _string(self, value):
        value = value.replace(",", "\\,")
        return self._pick((value, value.lower(), value[:3], value[:1]))

    def _date(self, value):
        value = value["start"] if isinstance(value, dict) else value
        return self._pick(("", "", "ge", "le", "ne")) + self._pick((value[:10], value[:7], value[:4]))

    def _number(self, value):
        return self._pick(("", "gt", "lt", "ge", "ne")) + str(value)

    def _reference(self, value):
        value = value.get("reference", "Patient/ann")
        if value.startswith("Patient/") and not self._one_in(3):
            value = f"Patient/{self.patient}"
        return self._pick((value, value, value.rpartition("/")[2], f"{BASE}/{value}"))

    def _named(self):
        """A patient as the value of a parameter."""
        who = self.patient if not self._one_in(3) else self._stranger()
        other = self._pick(tuple(PEOPLE))
        return self._pick((
            *(who, f"Patient/{who}", f"{BASE}/Patient/{who}") * 3, f"{families.ELSEWHERE}/Patient/{who}",
            f"{who},{other}", f"Patient/{who},Patient/{other}", f"Patient/{who}/_history/1", f"{who} ",
            f"patient/{who}", f"Group/{who}", "Practitioner/grey", who[:2], f"{who}1", f"#{who}", "", ",",
            f"{who},"))

    def _chained(self, name):
        last = name.rpartition(".")[2]
        values = {"name": "R", "family": "Rowan", "birthdate": "1984-02-01", "gender": "female",
                  "_id": self._who(), "identifier": f"mrn\\,{self._who()}", "status": "finished",
                  "patient": self._who(), "subject": f"Patient/{self._who()}", "code": "aspirin",
                  "active": "true"}
        return values.get(last, "x")

    def _none_exist(self):
        who = self._who()
        return self._pick((
            f"identifier=urn:spare|{who}-spare", f"_id={who}-spare-1", f"_id={who}-spare-1&patient={who}",
            "code=8867-4", f"identifier=nothing-{self.random.randint(0, 9)}"))

    def _body(self, kind=None, own=False):
        who = self.patient if own or not self._one_in(3) else self._stranger()
        kind = kind or self._pick(
            ("Observation", "Observation", "Observation", "Condition", "Appointment", "Practitioner", "Patient"))
        about = self._pick((f"Patient/{who}",) * 6 + (
            f"{BASE}/Patient/{who}", f"Patient/{who}/_history/1", "Group/walkers"))
        category = self._pick(("survey", "laboratory", "vital-signs"))
        if kind == "Observation":
            body = families.observation("x", about, category, "8867-4", "2026-03-01", 5)
            if self._one_in(5):
                body["performer"] = [{"reference": f"Patient/{self._who()}"}]
        elif kind == "Condition":
            body = families.resource("Condition", "x", subject=families.to(about), code={"text": "written"})
        elif kind == "Appointment":
            body = families.resource("Appointment", "x", status="proposed", participant=[
                {"actor": families.to(f"Patient/{one}"), "status": "tentative"}
                for one in dict.fromkeys((who, self._who()))])
        elif kind == "Patient":
            body = families.resource("Patient", "x", name=[{"family": "Written"}])
        else:
            body = families.resource("Practitioner", "x", name=[{"family": "Written"}])
        del body["id"]
        return body

    def _patch(self):
        path, value = self._pick((
            *[("/status", "amended")] * 3, ("/valueQuantity/value", 6),
            ("/subject/reference", f"Patient/{self._stranger()}"), ("/subject", {"reference": "Patient/bob"}),
            ("/performer", [{"reference": f"Patient/{self._stranger()}"}]), ("/id", "other"),
            ("/category/0/coding/0/code", "laboratory")))
        return self._pick((
            [{"op": "replace" if path != "/performer" else "add", "path": path, "value": value}],
            [{"op": "replace", "path": path, "value": value}],
            [{"op": "test", "path": "/subject/reference", "value": "Patient/bob"},
             {"op": "replace", "path": "/status", "value": "amended"}],
            [{"op": "copy", "from": "/subject", "path": "/focus"}])[:3 if self._one_in(3) else 1])

    def _target(self, own=False):
        """The id of an Observation set aside for writes, or of one that is not there."""
        who = self.patient if own or not self._one_in(3) else self._stranger()
        return self._pick((
            *(f"{who}-spare-1", f"{who}-spare-2", f"{who}-spare-3") * 3, f"new-{self.random.randint(1, 9)}",
            f"new-{self._uuid()}", "was-anns", "was-bobs", "ann-told-by-bob", "by-version-url"))

    def _resource(self):
        """Own, shared, foreign or missing."""
        if self._one_in(10):
            return self._kind(), self._pick(
                ("nobody-has-this-id", "ann-gone", "bob-gone", f"{self.patient}x"))
        own = self._covered(self._own(), "r")
        return self._pick(own if not self._one_in(3) else self.versions.current)

    def _own(self):
        """What is about the patient, and some of what is about nobody."""
        return self.versions.about(self.patient) + [("Practitioner", "grey"), ("Location", "ward")]

    def _kind(self):
        (kind,) = self._pick(self._covered([(kind,) for kind in _KINDS]))
        return kind

    def _covered(self, choices, permission="s"):
        """Those choices that start with a type in scope; now and then, all."""
        covered = [choice for choice in choices if self.covers(choice[0], permission)]
        return choices if not covered or self._one_in(8) else covered

    def _who(self):
        return self._pick((self.patient, self.patient, self._stranger()))

    def _stranger(self):
        return self._pick(tuple(one for one in PEOPLE if one != self.patient))

    def _uuid(self):
        return "-".join(f"{self.random.getrandbits(4 * size):0{size}x}" for size in (8, 4, 4, 4, 12))

    def _pick(self, choices):
        return self.random.choice(choices)

    def _one_in(self, number):
        return self.random.randrange(number) == 0


def _bytes(document):
    return json.dumps(document).encode()


def _parameters(text):
    """`Type: name kind path; …`"""
    return {kind: {name: (form, path) for name, form, path in map(str.split, " ".join(words).split(";"))}
            for kind, words in _words(text).items()}


def _words(text):
    """`Type: word …`"""
    table = {}
    for word in text.split():
        if word.endswith(":"):
            words = table.setdefault(word[:-1], [])
        else:
            words.append(word)
    return table


# Parameters with the elements from which values for them are taken.
PARAMETERS = _parameters("""
    Patient: family string name.family; given string name.given; birthdate date birthDate;
        gender token gender; identifier token identifier;
        general-practitioner reference generalPractitioner; link reference link.other;
        active token active
    Observation: code token code; category token category; status token status;
        date date effectiveDateTime; value-quantity number valueQuantity.value;
        identifier token identifier; encounter reference encounter; performer reference performer;
        subject reference subject; has-member reference hasMember
    Condition: code token code; category token category; clinical-status token clinicalStatus;
        recorded-date date recordedDate; encounter reference encounter; asserter reference asserter;
        subject reference subject
    Encounter: status token status; class token class; date date period;
        participant reference participant.individual; location reference location.location;
        service-provider reference serviceProvider
    MedicationRequest: status token status; intent token intent; authoredon date authoredOn;
        medication reference medicationReference; requester reference requester;
        encounter reference encounter
    DiagnosticReport: status token status; code token code; date date effectiveDateTime;
        result reference result; performer reference performer
    Procedure: status token status; code token code; date date performedDateTime;
        performer reference performer.actor; encounter reference encounter
    AllergyIntolerance: code token code; criticality token criticality; category token category;
        recorder reference recorder; asserter reference asserter
    Immunization: status token status; vaccine-code token vaccineCode; date date occurrenceDateTime;
        patient reference patient
    DocumentReference: status token status; type token type; author reference author
    CarePlan: status token status; intent token intent; category token category;
        subject reference subject
    ServiceRequest: status token status; intent token intent; code token code; authored date authoredOn;
        requester reference requester; performer reference performer
    MedicationStatement: status token status; medication reference medicationReference
    Provenance: recorded date recorded; target reference target; agent reference agent.who
    Coverage: status token status; beneficiary reference beneficiary; subscriber reference subscriber;
        payor reference payor
    Appointment: status token status; part-status token participant.status;
        actor reference participant.actor
    RelatedPerson: name string name.family; patient reference patient
    Communication: status token status; sender reference sender; recipient reference recipient
    Flag: status token status; subject reference subject
    Group: type token type; name string name; member reference member.entity
    AuditEvent: type token type; date date recorded; entity reference entity.what;
        agent reference agent.who
    QuestionnaireResponse: status token status; author reference author
    Practitioner: family string name.family; active token active
    Organization: name string name; active token active; partof reference partOf
    Location: name string name; status token status; organization reference managingOrganization
    Medication: code token code; status token status
    PractitionerRole: active token active; practitioner reference practitioner
    Task: status token status; focus reference focus; subject reference for
""")
_KINDS = (*PARAMETERS, *("Observation",) * 10, *("Condition", "Encounter", "Patient", "MedicationRequest") * 3)
_ABOUT = _words("""
    Patient: _id _id link
    Observation: patient subject subject:Patient patient:Patient performer patient:identifier subject:missing
        patient:not focus subject:Group
    Condition: patient subject asserter
    AllergyIntolerance: patient recorder asserter
    Coverage: patient beneficiary subscriber policy-holder payor
    Appointment: patient actor
    Provenance: patient target agent
    Group: member
    Communication: subject sender recipient
    Immunization: patient
    RelatedPerson: patient
""")
_PREFIXES = ("", "eq", "ne", "gt", "lt", "ge", "le", "sa", "eb", "ap")
_COMPARED = (
    ("Observation", "date", "2026 2026-01 2026-01-11 2026-01-12T00:00:00Z 2026-02-01"),
    ("Observation", "value-quantity", "60 67.5 81 70|http://unitsofmeasure.org|1 70||1 1e2"),
    ("Patient", "birthdate", "1984 1984-02-01 2015-06"), ("Encounter", "date", "2026-01 2026-02-05"),
    ("MedicationRequest", "authoredon", "2026-01-05"), ("Condition", "recorded-date", "2026-01-04 2026"),
    ("Observation", "_lastUpdated", "2020-01-01 2100"), ("Provenance", "recorded", "2026-01-05 2026"))
_CHAINS = _words("""
    Observation: subject.name subject:Patient.family patient.birthdate patient._id
        subject:Patient.gender encounter.status encounter:Encounter.location.name
        performer:Practitioner.family patient.identifier has-member.code encounter.patient
        subject:Patient.link.family performer:Patient.family encounter.service-provider.name
        subject:Group.member patient.general-practitioner.family encounter:Encounter.status
        encounter:Encounter.patient encounter:Encounter.service-provider.name
    Patient: general-practitioner.family organization.name link.family link:Patient.birthdate
        general-practitioner:Practitioner.active organization.partof.name
    MedicationRequest: medication.code requester:Practitioner.family encounter.status subject.family
        patient.name
    Encounter: participant:Practitioner.family location.name service-provider.name subject.name
        patient.identifier
    DiagnosticReport: result.code result.status performer:Organization.name result.subject
        patient.family
    Provenance: target:Observation.code target:Patient.family agent:Practitioner.family patient.name
    Location: organization.name partof.name
    PractitionerRole: practitioner.family organization.name
    Coverage: subscriber:Patient.family payor:Organization.name beneficiary.name
    Condition: encounter.location.name asserter:Patient.family patient.name encounter.status
        encounter:Encounter.status encounter:Encounter.participant:Practitioner.family
""")
_HAS = (
    ("Patient", "_has:Observation:patient:code", "8867-4"),
    ("Patient", "_has:Observation:subject:_id", "{me}-obs-1"),
    ("Patient", "_has:Condition:patient:category", "problem-list-item"),
    ("Patient", "_has:Group:member:name", "walkers"),
    ("Patient", "_has:Observation:performer:code", "8867-4"),
    ("Patient", "_has:Patient:link:family", "Rowan"),
    ("Patient", "_has:Encounter:patient:_has:Observation:encounter:code", "718-7"),
    ("Observation", "_has:DiagnosticReport:result:status", "final"),
    ("Observation", "_has:Provenance:target:agent", "Practitioner/grey"),
    ("Observation", "_has:DiagnosticReport:result:patient", "{me}"),
    ("Observation", "_has:Observation:has-member:code", "58410-2"),
    ("Encounter", "_has:Observation:encounter:code", "8867-4"),
    ("Encounter", "_has:Observation:encounter:patient", "{me}"),
    ("Encounter", "_has:Condition:encounter:category", "encounter-diagnosis"),
    ("Encounter", "_has:Observation:encounter:_has:DiagnosticReport:result:status", "final"),
    ("Practitioner", "_has:Encounter:participant:patient", "{me}"),
    ("Practitioner", "_has:PractitionerRole:practitioner:active", "true"),
    ("Medication", "_has:MedicationRequest:medication:patient", "{me}"),
    ("Organization", "_has:Patient:organization:_id", "{me}"),
    ("Location", "_has:Encounter:location:status", "finished"),
    ("Patient", "_has:Observation:patient", "x"),
    ("Observation", "_has:Observation:derived-from:code", "x"),
)
_INCLUDES = _words("""
    Observation: Observation:subject Observation:patient Observation:encounter Observation:performer
        Observation:has-member Observation:performer:Practitioner Observation:performer:Patient
        Observation:subject:Patient Encounter:location Observation:subject:Group Encounter:participant
        Patient:general-practitioner Observation:device
    Condition: Condition:subject Condition:asserter Condition:encounter Condition:patient
        Encounter:participant Encounter:location
    Encounter: Encounter:subject Encounter:participant Encounter:location Encounter:service-provider
        Location:organization Location:partof
    MedicationRequest: MedicationRequest:medication MedicationRequest:requester
        MedicationRequest:subject MedicationRequest:encounter
    DiagnosticReport: DiagnosticReport:result DiagnosticReport:performer DiagnosticReport:subject
        Observation:performer Observation:encounter
    Patient: Patient:general-practitioner Patient:organization Patient:link Organization:partof
    Provenance: Provenance:target Provenance:agent Provenance:patient Provenance:target:Patient
        Observation:subject
    Coverage: Coverage:payor Coverage:beneficiary Coverage:subscriber Coverage:policy-holder
        Coverage:patient
    Appointment: Appointment:actor Appointment:patient Patient:general-practitioner
    AllergyIntolerance: AllergyIntolerance:recorder AllergyIntolerance:asserter
        AllergyIntolerance:patient
    PractitionerRole: PractitionerRole:practitioner PractitionerRole:organization
        PractitionerRole:location Location:partof
    Task: Task:focus Task:subject
""")
_REVINCLUDES = _words("""
    Patient: Observation:subject Observation:patient Observation:performer Condition:patient
        Group:member Provenance:target Coverage:subscriber RelatedPerson:patient Patient:link
        Appointment:actor Task:subject Device:patient
    Observation: Provenance:target DiagnosticReport:result Observation:has-member
    Encounter: Observation:encounter Condition:encounter MedicationRequest:encounter Procedure:encounter
        Provenance:target
    Practitioner: Encounter:participant Observation:performer Patient:general-practitioner
        PractitionerRole:practitioner
    Medication: MedicationRequest:medication MedicationStatement:medication
    Location: Encounter:location PractitionerRole:location Location:partof
    Organization: Patient:organization Location:organization Coverage:payor Organization:partof
    ServiceRequest: Task:focus DiagnosticReport:based-on
""")
_REVINCLUDES |= {kind: ["Provenance:target"] for kind in _INCLUDES if kind not in _REVINCLUDES}
_ANY_INCLUDES = [value for values in _INCLUDES.values() for value in values]
