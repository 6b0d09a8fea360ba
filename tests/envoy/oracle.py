"""What a token's holder may see, said once more and otherwise than in the filter: from the text of the
contract and the definitions of FHIR R4, over plain dicts."""

import re
from dataclasses import dataclass
from functools import cache

from families import BASE

SHARED = ("Practitioner", "PractitionerRole", "Organization", "Location", "Medication", "HealthcareService",
          "Endpoint")


@dataclass(frozen=True)
class Context:
    """Scopes that count for one patient, or for all patients (`None`)."""

    patient: str | None
    scopes: tuple


@dataclass(frozen=True)
class Holder:
    """A token: its contexts are judged apart and add up."""

    name: str
    token: str
    contexts: tuple

    def may(self, permission, resource, mode):
        """Whether one context covers this resource, by scope and by whose it is."""
        return any(
            in_scope(resource, context.scopes, permission)
            and (context.patient is None or is_mine(resource, context.patient, mode)
                 or resource["resourceType"] in SHARED)
            for context in self.contexts)

    def may_with_contained(self, permission, resource, mode):
        """The same, and what it contains is covered too."""
        return self.may(permission, resource, mode) and (
            self.may_anyones(resource["resourceType"], permission)
            or all(self.may_contain(one) for one in resource.get("contained", [])))

    def may_anyones(self, kind, permission):
        """Whether one context opens every resource of the type as it is, whosever it is."""
        return any(context.patient is None and type_in_scope(kind, plain(context.scopes), permission)
                   for context in self.contexts)

    def may_contain(self, resource):
        """Whether one context covers this inside another resource: there it is about whom that is about,
        unless it is a person itself or refers to another patient."""
        kind = resource["resourceType"]
        return any(
            in_scope(resource, context.scopes, "r")
            and (context.patient is None or kind in SHARED
                 or kind in PATHS and kind != "Patient" and not names_another(resource, context.patient))
            for context in self.contexts)

    def counted(self, resource, mode):
        """Whether a server that reads references loosely finds it in a narrowed search."""
        return any(
            in_scope(resource, context.scopes, "s")
            and (context.patient is None or self._finds(resource, context.patient, mode)
                 or resource["resourceType"] in SHARED)
            for context in self.contexts)

    def _finds(self, resource, patient, mode):
        """The server takes whatever refers to a patient for a member of the compartment."""
        refers = any(_names(one, patient, True) for one in references(resource))
        return is_mine(resource, patient, mode, loosely=True) or mode == "definition" and refers

    def apart(self, kind):
        """A holder for each context that may search for the type."""
        return [Holder(self.name, self.token, (context,)) for context in self.contexts
                if type_in_scope(kind, context.scopes, "s")]

    def may_write(self, permission, resource, mode, anew=False):
        """Whether one context lets them change this; `anew`: leave it like this, which is about nobody
        else. What is shared is not theirs to write."""
        return any(
            in_scope(resource, context.scopes, permission)
            and (context.patient is None or is_mine(resource, context.patient, mode)
                 and not (anew and names_another(resource, context.patient)))
            for context in self.contexts)

    def covers(self, kind, permission):
        """Whether some context has the permission on some resources of the type."""
        return any(type_in_scope(kind, context.scopes, permission) for context in self.contexts)

    @property
    def patients(self):
        return [context.patient for context in self.contexts if context.patient]


def is_mine(resource, patient, mode, loosely=False):
    """Whether the resource is in the patient's hands: `subject`, it is about them; `definition`, it is in
    their compartment."""
    kind = resource["resourceType"]
    if kind == "Binary":
        return _names(resource.get("securityContext"), patient, loosely)
    if kind not in PATHS:
        return False
    if kind == "Patient":  # whatever it links to
        return resource.get("id") == patient
    subject, others = PATHS[kind]
    paths = subject if mode == "subject" else subject + others
    return any(_names(found, patient, loosely) for path in paths for found in walk(resource, path))


def names_another(resource, patient):
    """Whether anything in it refers to a patient and not to this one."""
    return any("Patient/" in one["reference"] and not _names(one, patient, False)
               for one in references(resource))


def references(value):
    """Every literal reference, however deep."""
    if isinstance(value, list):
        for one in value:
            yield from references(one)
    elif isinstance(value, dict):
        if isinstance(value.get("reference"), str):
            yield value
        for one in value.values():
            yield from references(one)


def in_scope(resource, scopes, permission):
    """Whether one of the scopes gives this permission on this resource."""
    return any(_covers(scope, resource, permission) for scope in scopes)


def type_in_scope(kind, scopes, permission):
    """Whether a scope gives the permission on at least some resources of the type."""
    return any(parsed and parsed[0] in ("*", kind) and permission in parsed[1]
               for parsed in map(parse_scope, scopes))


def plain(scopes):
    """Those without search parameters."""
    return [scope for scope in scopes if "?" not in scope]


def is_evaluable(scope, kind):
    """Whether each of the scope's search parameters can be looked up in a resource."""
    parsed = parse_scope(scope)
    return bool(parsed) and all((kind, name) in GRANULAR for name, _ in parsed[2])


@cache
def parse_scope(text):
    """Type, permissions and parameters of a clinical scope, or `None`."""
    found = _SCOPE.fullmatch(text)
    if not found:
        return None
    kind, letters, query = found["kind"], found["letters"], found["query"]
    letters = _VERSION_1.get(letters, letters)
    parameters = [tuple(one.split("=", 1)) for one in query.split("&")] if query else []
    return kind, letters, parameters


def walk(value, path):
    """Every value at the end of a path through objects and lists."""
    if isinstance(value, list):
        for one in value:
            yield from walk(one, path)
    elif not path and value is not None:
        yield value
    elif isinstance(value, dict):
        head, _, rest = path.partition(".")
        yield from walk(value.get(head), rest)


def _covers(scope, resource, permission):
    parsed = parse_scope(scope)
    if not parsed:
        return False
    kind, letters, parameters = parsed
    return (kind in ("*", resource["resourceType"]) and permission in letters
            and all(_has(resource, name, value) for name, value in parameters))


def _has(resource, name, value):
    """Whether a search for `name=value` would find the resource: for the parameters that tests use."""
    path = GRANULAR.get((resource["resourceType"], name))
    if path is None:
        return False
    found = list(walk(resource, path))
    return any(_is(one, wanted) for one in found for wanted in value.split(","))


def _is(value, wanted):
    system, bar, code = wanted.rpartition("|")
    if isinstance(value, str):
        return not system and value == code
    if "reference" in value:
        return value["reference"] == wanted
    codings = value.get("coding", [value])
    return any(coding.get("code") == code and (not bar or coding.get("system", "") == system)
               for coding in codings)


def _names(reference, patient, loosely):
    if not isinstance(reference, dict) or not isinstance(reference.get("reference"), str):
        return False
    literal = reference["reference"]
    if loosely:
        return re.fullmatch(rf"(.*/)?Patient/{re.escape(patient)}(/_history/[^/]+)?", literal) is not None
    literal = literal.removeprefix(f"{BASE}/")
    return re.fullmatch(rf"Patient/{re.escape(patient)}(/_history/[A-Za-z0-9.-]+)?", literal) is not None


def _table(text):
    """`Type: paths of who it is about | further paths of the compartment`."""
    table = {}
    for line in text.strip().splitlines():
        kind, paths = line.split(":")
        about, _, others = paths.partition("|")
        table[kind.strip()] = tuple(about.split()), tuple(others.split())
    return table


# Patient compartment of R4. Before the bar: the elements of the parameter `patient`, or else `subject`.
PATHS = _table("""
    Account: subject
    AdverseEvent: subject
    AllergyIntolerance: patient | recorder asserter
    Appointment: participant.actor
    AppointmentResponse: actor
    AuditEvent: agent.who entity.what
    Basic: subject | author
    BodyStructure: patient
    CarePlan: subject | activity.detail.performer
    CareTeam: subject | participant.member
    ChargeItem: subject
    Claim: patient | payee.party
    ClaimResponse: patient
    ClinicalImpression: subject
    Communication: subject | sender recipient
    CommunicationRequest: subject | sender recipient requester
    Composition: subject | author attester.party
    Condition: subject | asserter
    Consent: patient
    Coverage: beneficiary | policyHolder subscriber payor
    CoverageEligibilityRequest: patient
    CoverageEligibilityResponse: patient
    DetectedIssue: patient
    DeviceRequest: subject | performer
    DeviceUseStatement: subject
    DiagnosticReport: subject
    DocumentManifest: subject | author recipient
    DocumentReference: subject | author
    Encounter: subject
    EnrollmentRequest: candidate
    EpisodeOfCare: patient
    ExplanationOfBenefit: patient | payee.party
    FamilyMemberHistory: patient
    Flag: subject
    Goal: subject
    Group: | member.entity
    ImagingStudy: subject
    Immunization: patient
    ImmunizationEvaluation: patient
    ImmunizationRecommendation: patient
    Invoice: subject | recipient
    List: subject | source
    MeasureReport: subject
    Media: subject
    MedicationAdministration: subject | performer.actor
    MedicationDispense: subject | receiver
    MedicationRequest: subject
    MedicationStatement: subject
    MolecularSequence: patient
    NutritionOrder: patient
    Observation: subject | performer
    Patient:
    Person: link.target
    Procedure: subject | performer.actor
    Provenance: target
    QuestionnaireResponse: subject | author
    RelatedPerson: patient
    RequestGroup: subject | action.participant
    ResearchSubject: individual
    RiskAssessment: subject
    Schedule: | actor
    ServiceRequest: subject | performer
    Specimen: subject
    SupplyDelivery: patient
    SupplyRequest: deliverTo
    VisionPrescription: patient
""")

# Parameters that the tests' granular scopes use, and where they look.
GRANULAR = {
    ("Observation", "category"): "category", ("Observation", "code"): "code",
    ("Observation", "status"): "status", ("Condition", "category"): "category",
    ("Condition", "clinical-status"): "clinicalStatus", ("Encounter", "status"): "status",
    ("MedicationRequest", "status"): "status", ("Observation", "encounter"): "encounter",
}

_SCOPE = re.compile(
    r"(patient|user|system)/(?P<kind>\*|[A-Z][A-Za-z]+)\."
    r"(?P<letters>read|write|\*|(?=[cruds])c?r?u?d?s?)(\?(?P<query>[^?]+))?")
_VERSION_1 = {"read": "rs", "write": "cud", "*": "cruds"}
