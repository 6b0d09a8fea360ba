"""Two families and all that is written about them, with every way in which a resource of one can touch
the other: for the differential test. Every resource carries a mark in its text, so that a piece of it
is found wherever it comes to light."""

import base64
import hashlib
from itertools import chain, product

BASE = "https://api.clinic.example/fhir"
ELSEWHERE = "https://fhir.elsewhere.example/r4"

PEOPLE = {  # id: given name, family name, born, gender
    "ann": ("Ann", "Rowan", "1984-02-01", "female"),  # mother, whose id starts others
    "an": ("Andrew", "Rowan", "1981-11-30", "male"),  # father
    "ann1": ("Nan", "Rowan", "2015-06-07", "female"),  # child
    "ann-old": ("Anne", "Hazel", "1984-02-01", "female"),  # the mother's earlier record
    "bob": ("Bob", "Alder", "1979-08-09", "male"),
    "bob-1": ("Bobby", "Alder, Rowan", "2015-06-07", "male"),
    "eve": ("Eve", "Alder", "1984-02-01", "female"),
}
LINKS = {"ann": ["ann-old"], "ann-old": ["ann"], "eve": ["bob"]}

OBSERVATION_CATEGORY = "http://terminology.hl7.org/CodeSystem/observation-category"
CONDITION_CATEGORY = "http://terminology.hl7.org/CodeSystem/condition-category"
LOINC = "http://loinc.org"
MRN = "urn:oid:1.2.36.146"


def steps():
    """What makes the data, in order: resources to put, and `(type, id)` to delete."""
    resources = chain(shared(), *(about(person) for person in PEOPLE), between(), references())
    yield from map(marked, resources)
    yield from changed_hands()


def mark(resource_type, ident):
    """What the text of this resource says, and nothing else."""
    return "mark-" + hashlib.sha256(f"{resource_type}/{ident}".encode()).hexdigest()[:16]


def marked(resource):
    if resource["resourceType"] in _WITHOUT_TEXT:
        return resource
    text = mark(resource["resourceType"], resource["id"])
    div = f'<div xmlns="http://www.w3.org/1999/xhtml">{text}</div>'
    return {**resource, "text": {"status": "generated", "div": div}}


def to(target, **more):
    return {"reference": target, **more}


def resource(resource_type, ident, **elements):
    return {"resourceType": resource_type, "id": ident, **elements}


def concept(system, code, text=None):
    return {"coding": [{"system": system, "code": code}], **({"text": text} if text else {})}


def observation(ident, subject, category="vital-signs", code="8867-4", day="2026-01-01", value=70, **more):
    return resource(
        "Observation", ident, status="final", subject=to(subject), effectiveDateTime=day,
        category=[concept(OBSERVATION_CATEGORY, category)], code=concept(LOINC, code, f"Test {code}"),
        valueQuantity={"value": value, "unit": "1"}, **more)


def base64_of(data):
    return base64.b64encode(data).decode()


def shared():
    """What is about nobody."""
    yield resource("Organization", "clinic", name="Example Clinic", active=True)
    yield resource("Organization", "lab", name="Example Laboratory", partOf=to("Organization/clinic"))
    for ident, family in (("grey", "Grey"), ("white", "White")):
        yield resource("Practitioner", ident, name=[{"family": family, "given": ["Dora"]}], active=True)
    yield resource("PractitionerRole", "grey-clinic", practitioner=to("Practitioner/grey"),
                   organization=to("Organization/clinic"), location=[to("Location/ward")])
    yield resource("Location", "hospital", name="Hospital", managingOrganization=to("Organization/clinic"))
    yield resource("Location", "ward", name="Ward", status="active", partOf=to("Location/hospital"))
    for ident, text in (("aspirin", "Aspirin"), ("iron", "Iron, oral")):
        yield resource("Medication", ident, code=concept("urn:drugs", ident, text), status="active")
    yield resource("HealthcareService", "cardio", providedBy=to("Organization/clinic"), name="Cardiology")
    # Neither in the compartment nor in `shared_types`.
    yield resource("Questionnaire", "mood", status="active", title="Mood")
    yield resource("Device", "scale", patient=to("Patient/bob"))


def about(person):
    """What each of them has."""
    me, grey = f"Patient/{person}", "Practitioner/grey"
    given, family, born, gender = PEOPLE[person]
    day = 1 + len(person)
    yield resource(
        "Patient", person, name=[{"family": family, "given": [given]}], birthDate=born, gender=gender,
        identifier=[{"system": MRN, "value": f"mrn,{person}"}], active=True,
        managingOrganization=to("Organization/clinic"), generalPractitioner=[to(grey)],
        **({"link": [{"other": to(f"Patient/{other}"), "type": "seealso"} for other in LINKS[person]]}
           if person in LINKS else {}))
    for number, status in ((1, "finished"), (2, "in-progress")):
        yield resource(
            "Encounter", f"{person}-visit-{number}", status=status, subject=to(me),
            **{"class": {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "AMB"}},
            period={"start": f"2026-0{number}-0{day}", "end": f"2026-0{number}-0{day + 1}"},
            participant=[{"individual": to(grey if number == 1 else "Practitioner/white")}],
            location=[{"location": to("Location/ward")}], serviceProvider=to("Organization/clinic"))
    visit = f"Encounter/{person}-visit-1"
    yield from _observations(person, me, visit, day)
    yield from _clinical(person, me, visit, day)
    yield from _medication(person, me, visit, day)
    yield from _papers(person, me, visit)


def _observations(person, me, visit, day):
    kinds = (("vital-signs", "8867-4"), ("vital-signs", "29463-7"), ("laboratory", "718-7"),
             ("laboratory", "2345-7"), ("social-history", "72166-2"), ("survey", "44249-1"))
    for number, (category, code) in enumerate(kinds):
        yield observation(
            f"{person}-obs-{number}", me, category, code, f"2026-01-1{number}", 60 + 7 * number + day,
            encounter=to(visit), performer=[to("Practitioner/grey" if number % 2 else me)],
            identifier=[{"system": "urn:lab", "value": f"{person},{number}"}])
    yield observation(f"{person}-panel", me, "laboratory", "58410-2", "2026-02-01", 1,
                      hasMember=[to(f"Observation/{person}-obs-2")]) | {"status": "amended"}


def _clinical(person, me, visit, day):
    for number, category in enumerate(("problem-list-item", "encounter-diagnosis")):
        yield resource(
            "Condition", f"{person}-problem-{number}", subject=to(me), encounter=to(visit),
            category=[concept(CONDITION_CATEGORY, category)], code=concept("urn:icd", f"J{number}", "Cough"),
            clinicalStatus=concept("http://terminology.hl7.org/CodeSystem/condition-clinical", "active"),
            asserter=to(me), recordedDate=f"2026-01-0{day}")
    yield resource("AllergyIntolerance", f"{person}-nuts", patient=to(me), recorder=to("Practitioner/white"),
                   code=concept("urn:food", "nut", "Nuts"), criticality="low", category=["food"])
    yield resource("Procedure", f"{person}-xray", status="completed", subject=to(me), encounter=to(visit),
                   code=concept("urn:proc", "xr", "X-ray"), performedDateTime=f"2026-01-0{day}",
                   performer=[{"actor": to("Practitioner/grey")}], location=to("Location/ward"))
    yield resource("Immunization", f"{person}-shot", status="completed", patient=to(me),
                   vaccineCode=concept("urn:cvx", "208"), occurrenceDateTime=f"2025-11-0{day}")
    yield resource("DiagnosticReport", f"{person}-blood", status="final", subject=to(me), encounter=to(visit),
                   category=[concept("urn:section", "LAB")], code=concept(LOINC, "58410-2"),
                   performer=[to("Organization/lab")], effectiveDateTime="2026-01-12",
                   result=[to(f"Observation/{person}-obs-2"), to(f"Observation/{person}-obs-3")])
    yield resource("CarePlan", f"{person}-plan", status="active", intent="plan", subject=to(me),
                   encounter=to(visit), category=[concept("urn:plan", "diet")])
    yield resource("ServiceRequest", f"{person}-order", status="active", intent="order", subject=to(me),
                   code=concept("urn:proc", "xr"), requester=to("Practitioner/grey"), authoredOn="2026-01-02")


def _medication(person, me, visit, day):
    order = dict(status="active", intent="order", subject=to(me), requester=to("Practitioner/grey"),
                 authoredOn=f"2026-01-0{day}")
    yield resource("MedicationRequest", f"{person}-aspirin", encounter=to(visit),
                   medicationReference=to("Medication/aspirin"), **order)
    yield resource("MedicationRequest", f"{person}-mixture", medicationReference=to("#mixture"), contained=[
        resource("Medication", "mixture", code={"text": "Mixture"})], **order)
    yield resource("MedicationStatement", f"{person}-iron", status="active", subject=to(me),
                   medicationReference=to("Medication/iron"))


def _papers(person, me, visit):
    yield resource("Binary", f"{person}-scan", contentType="text/plain", securityContext=to(me),
                   data="bm90IGEgc2Nhbg==")
    yield resource("Binary", f"{person}-scan-2", contentType="text/plain", data="bm90IGEgc2Nhbg==",
                   securityContext=to(f"DocumentReference/{person}-letter"))
    yield resource("DocumentReference", f"{person}-letter", status="current", subject=to(me),
                   author=[to("Practitioner/grey")], type=concept(LOINC, "34133-9"), date="2026-01-05T10:00:00Z",
                   content=[{"attachment": {"contentType": "text/plain", "url": f"Binary/{person}-scan"}}])
    yield resource("Provenance", f"{person}-source", target=[to(me)], recorded="2026-01-05T10:00:00Z",
                   agent=[{"who": to("Practitioner/grey")}])
    yield resource("Provenance", f"{person}-source-2", target=[to(f"Observation/{person}-obs-1")],
                   recorded="2026-01-05T10:00:00Z", agent=[{"who": to(me)}])
    yield resource("Coverage", f"{person}-insurance", status="active", beneficiary=to(me),
                   payor=[to("Organization/clinic")])
    yield resource("RelatedPerson", f"{person}-friend", patient=to(me), name=[{"family": "Friend"}])
    yield resource("QuestionnaireResponse", f"{person}-mood", status="completed", subject=to(me), author=to(me),
                   questionnaire="Questionnaire/mood")
    yield resource("Flag", f"{person}-flag", status="active", code={"text": "Fall risk"}, subject=to(me))
    yield resource("Task", f"{person}-call", status="requested", intent="order", **{"for": to(me)},
                   focus=to(f"ServiceRequest/{person}-order"))


def between():
    """What touches several people."""
    yield observation("ann1-told-by-ann", "Patient/ann1", "survey", performer=[to("Patient/ann")])
    yield observation("bob-told-by-ann", "Patient/bob", "survey", performer=[to("Patient/ann")])
    yield observation("ann-told-by-bob", "Patient/ann", "survey", performer=[to("Patient/bob")])
    yield observation("bob-focus-ann", "Patient/bob", focus=[to("Patient/ann")])
    yield resource("Condition", "bob-cough", subject=to("Patient/bob"), asserter=to("Patient/ann"))
    yield resource("AllergyIntolerance", "ann1-egg", patient=to("Patient/ann1"), recorder=to("Patient/ann"),
                   asserter=to("RelatedPerson/ann1-friend"))
    yield resource("Procedure", "ann1-first-aid", status="completed", subject=to("Patient/ann1"),
                   performer=[{"actor": to("Patient/ann")}])
    yield resource("ServiceRequest", "bob-care", status="active", intent="order", subject=to("Patient/bob"),
                   performer=[to("Patient/ann")])
    yield resource("CarePlan", "bob-care-plan", status="active", intent="plan", subject=to("Patient/bob"),
                   activity=[{"detail": {"status": "scheduled", "performer": [to("Patient/ann")]}}])
    yield resource("DocumentReference", "bob-story", status="current", subject=to("Patient/bob"),
                   author=[to("Patient/ann")], content=[{"attachment": {"contentType": "text/plain"}}])
    yield resource("QuestionnaireResponse", "ann1-mood-by-ann", status="completed", author=to("Patient/ann"),
                   subject=to("Patient/ann1"))
    yield resource("Coverage", "family", status="active", subscriber=to("Patient/ann"),
                   policyHolder=to("Patient/an"), beneficiary=to("Patient/ann1"), payor=[to("Patient/an")])
    for ident, people in (("meeting", ("ann", "bob")), ("check-up", ("ann1", "ann")), ("alone", ("bob",))):
        yield resource("Appointment", ident, status="booked", participant=[
            {"actor": to(f"Patient/{person}"), "status": "accepted"} for person in people])
    yield resource("Communication", "news", status="completed", subject=to("Patient/bob"),
                   sender=to("Patient/ann"), recipient=[to("Patient/ann1"), to("Practitioner/grey")])
    for ident, people in (("walkers", ("ann", "bob")), ("class", ("ann1", "bob-1"))):
        yield resource("Group", ident, type="person", actual=True, name=ident, member=[
            {"entity": to(f"Patient/{person}")} for person in people])
    yield resource("Provenance", "both", target=[to("Patient/ann"), to("Patient/bob")],
                   recorded="2026-01-05T10:00:00Z", agent=[{"who": to("Practitioner/grey")}])
    yield resource("Provenance", "both-results", recorded="2026-01-05T10:00:00Z",
                   target=[to("Observation/ann-obs-1"), to("Observation/bob-obs-1")],
                   agent=[{"who": to("Patient/ann")}])
    yield resource("AuditEvent", "seen", recorded="2026-01-05T10:00:00Z", type={"code": "rest"},
                   agent=[{"requestor": True, "who": to("Practitioner/grey")}], source={
                       "observer": to("Organization/clinic")}, entity=[
                           {"what": to("Patient/ann")}, {"what": to("Patient/bob")}])
    yield resource("List", "of-ann", status="current", mode="working", subject=to("Patient/bob"),
                   source=to("Patient/ann"))
    yield resource("Person", "one", link=[{"target": to("Patient/ann")}, {"target": to("Patient/ann-old")}])
    yield resource("Schedule", "hers", actor=[to("Patient/ann")])
    yield resource("Basic", "note", code={"text": "Note"}, subject=to("Patient/bob"), author=to("Patient/ann"))
    yield resource("Bundle", "stored", type="collection", entry=[
        {"resource": observation("in-a-bundle", "Patient/ann")}])


def references():
    """Every way to say, or not to say, that something is about `ann`."""
    yield observation("by-url", f"{BASE}/Patient/ann")
    yield observation("by-version", "Patient/ann/_history/1")
    yield observation("by-version-url", f"{BASE}/Patient/ann/_history/1")
    yield observation("by-other-url", f"{ELSEWHERE}/Patient/ann")
    yield observation("by-urn", "urn:uuid:6a4d6b5c-0b3c-4c3e-9d8e-2f1f5c3f0b11")
    yield observation("by-group", "Group/walkers")
    yield observation("by-contained", "#her") | {
        "contained": [resource("Patient", "her", birthDate="1984-02-01")]}
    yield observation("by-identifier", "") | {
        "subject": {"type": "Patient", "identifier": {"system": MRN, "value": "mrn,ann"}}}
    yield observation("with-contained", "Patient/ann", hasMember=[to("#his"), to("#hers")]) | {"contained": [
        observation("his", "Patient/bob", "laboratory"), observation("hers", "Patient/ann", "laboratory")]}
    yield resource("DiagnosticReport", "with-contained", status="final", code=concept(LOINC, "58410-2"),
                   subject=to("Patient/ann"), result=[to("#plain")], contained=[
                       resource("Observation", "plain", status="final", code={"text": "About nobody"})])
    yield resource("Encounter", "with-practitioner", status="finished", subject=to("Patient/ann"),
                   **{"class": {"code": "AMB"}}, participant=[{"individual": to("#doc")}],
                   contained=[resource("Practitioner", "doc", name=[{"family": "Contained"}])])


def changed_hands():
    """What was another's once, what is set aside for writes, and what is no more."""
    once = {"was-bobs": ("bob", "ann"), "was-anns": ("ann", "bob"), "kept": ("ann", "ann")}
    for ident, subjects in once.items():
        for subject in subjects:
            yield marked(observation(ident, f"Patient/{subject}"))
    for person, number in product(PEOPLE, (1, 2, 3)):
        yield marked(observation(f"{person}-spare-{number}", f"Patient/{person}", "survey", identifier=[
            {"system": "urn:spare", "value": f"{person}-spare"}]))
    for ident in ("ann-gone", "bob-gone"):
        yield marked(observation(ident, f"Patient/{ident.partition('-')[0]}"))
        yield "Observation", ident


_WITHOUT_TEXT = ("Binary", "Bundle")
