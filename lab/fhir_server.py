"""A real FHIR R4 server (sekmet-fhir) with a handful of invented people in it."""

import http.client
import json

from lab.processes import BIN, LabError, Process, answers, free_port


class FhirServer:
    """`base_url` is how clients name the API: paging links come back with it. `resources`: what is put
    in, or taken out again where it is a type and an id; the clinic's people unless given."""

    def __init__(self, folder, base_url, port=None, resources=None):
        self.port = port or free_port()
        self._resources = clinic() if resources is None else resources
        settings = f"{folder}/fhir.json"  # JSON is YAML
        with open(settings, "w") as file:
            json.dump({
                "base_url": base_url, "host": "127.0.0.1", "port": self.port,
                "data_dir": f"{folder}/fhir", "own_private_key_path": f"{folder}/fhir/key.pem",
                "simulator": {"enabled": False}, "log_inbound": False,
            }, file)
        self._process = Process(
            "FHIR server", [BIN / "python", BIN / "sekmet", "serve", "--config", settings],
            f"{folder}/fhir.log")

    def wait(self):
        """Waits until it answers, then puts the resources in."""
        self._process.wait_until(lambda: answers(f"http://127.0.0.1:{self.port}/fhir/metadata"))
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            for resource in self._resources:
                if isinstance(resource, dict):
                    self._put(connection, resource)
                else:
                    self._send(connection, "DELETE", "/fhir/{}/{}".format(*resource))
        finally:
            connection.close()

    def stop(self):
        self._process.stop()

    def _put(self, connection, resource):
        target = f"/fhir/{resource['resourceType']}/{resource['id']}"
        self._send(connection, "PUT", target, json.dumps(resource))

    def _send(self, connection, method, target, body=None):
        connection.request(method, target, body, {"content-type": "application/fhir+json"})
        response = connection.getresponse()
        answer = response.read()
        if response.status not in (200, 201):
            raise LabError(f"the FHIR server refused {target}: {response.status} {answer[:300]}")


def clinic():
    """The invented people of the clinic and what is written about them."""
    yield {"resourceType": "Organization", "id": "clinic", "name": "Example Clinic"}
    yield {"resourceType": "Practitioner", "id": "dr-grey", "name": [_name("Greyexample", "Dora")]}
    for patient, given, born in _PATIENTS:
        about = {"reference": f"Patient/{patient}"}
        yield {"resourceType": "Patient", "id": patient, "name": [_name("Testperson", given)],
               "birthDate": born, "managingOrganization": {"reference": "Organization/clinic"}}
        yield {"resourceType": "Condition", "id": f"{patient}-asthma", "subject": about,
               "code": {"text": "Asthma"}}
        yield {"resourceType": "MedicationRequest", "id": f"{patient}-inhaler", "subject": about,
               "status": "active", "intent": "order",
               "requester": {"reference": "Practitioner/dr-grey"},
               "medicationCodeableConcept": {"text": "Salbutamol inhaler"}}
        for number, beats in enumerate((62, 71, 88), start=1):
            yield _heart_rate(f"{patient}-pulse-{number}", about, beats, f"2026-01-0{number}")


def _heart_rate(resource_id, about, beats, day):
    loinc = {"system": "http://loinc.org", "code": "8867-4", "display": "Heart rate"}
    vital = {"system": "http://terminology.hl7.org/CodeSystem/observation-category",
             "code": "vital-signs"}
    return {
        "resourceType": "Observation", "id": resource_id, "status": "final", "subject": about,
        "category": [{"coding": [vital]}], "code": {"coding": [loinc]}, "effectiveDateTime": day,
        "valueQuantity": {"value": beats, "unit": "beats/minute",
                          "system": "http://unitsofmeasure.org", "code": "/min"},
    }


def _name(family, given):
    return {"family": family, "given": [given]}


_PATIENTS = [
    ("ann", "Ann", "1980-01-02"), ("ben", "Ben", "1975-05-06"), ("cleo", "Cleo", "2012-09-10")]
