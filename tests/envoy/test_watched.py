"""What the request alone decides, the own Patient and shared types: a server that gives something else
shows nothing either."""

import pytest

from hostile import ANN, BEN, FOREIGN, MARK, OUTCOME, answers, bundle, ok, passed, shows, turned_back

GREY = {"resourceType": "Practitioner", "id": "7", "name": [{"family": "Grey"}]}
OTHERS = [BEN, FOREIGN, {**FOREIGN, "resourceType": "Condition"}]


@pytest.mark.parametrize("front", ["gateway", "shipped"])
@pytest.mark.parametrize("target", [
    "/fhir/Patient/ann", "/fhir/Patient/ann/_history/1", "/fhir/Practitioner/7",
    "/fhir/Organization/1/_history/2"])
@pytest.mark.parametrize("other", OTHERS, ids=lambda one: one["resourceType"])
def test_a_server_that_gives_another_resource_shows_nothing(request, issuer, front, target, other):
    asking = request.getfixturevalue(front)
    answers(asking, *ok(other))
    response = asking.get(target, issuer.patient())
    turned_back(asking, response, 403, "compartment_not_member")
    assert not shows(response, MARK)


@pytest.mark.parametrize("other", OTHERS, ids=lambda one: one["resourceType"])
def test_a_search_of_a_shared_type_shows_that_type_alone(gateway, issuer, other):
    answers(gateway, *ok(bundle({"resource": GREY}, {"resource": other})))
    response = gateway.get("/fhir/Practitioner?name=x", issuer.patient())
    passed(gateway, response, removed=1)
    assert not shows(response, MARK) and shows(response, "Grey")


@pytest.mark.parametrize("target", ["/fhir/Patient/ann/_history", "/fhir/Practitioner/7/_history"])
def test_a_history_of_somebody_else_shows_nothing(gateway, issuer, target):
    answers(gateway, *ok(bundle({"resource": BEN}, {"resource": FOREIGN}, kind="history")))
    turned_back(gateway, gateway.get(target, issuer.patient()), 403, "compartment_not_member")


def test_the_own_patient_and_shared_resources_come_as_the_server_sent_them(gateway, issuer):
    for target, resource in [("/fhir/Patient/ann", ANN), ("/fhir/Practitioner/7", GREY)]:
        status, headers, body = ok(resource)
        answers(gateway, status, headers, body)
        response = gateway.get(target, issuer.patient())
        passed(gateway, response)
        assert response.body == body


@pytest.mark.parametrize("status", [404, 410])
@pytest.mark.parametrize("target", ["/fhir/Patient/ann", "/fhir/Practitioner/none"])
def test_that_such_a_resource_is_missing_is_no_secret(gateway, issuer, target, status):
    answers(gateway, *ok(OUTCOME, status=status))
    response = gateway.get(target, issuer.patient())
    assert response.status == status and response.json() == OUTCOME


def test_what_can_t_be_judged_is_not_asked_for(gateway, issuer):
    for target in ("/fhir/Patient/ann?_format=xml", "/fhir/Practitioner/7?_format=xml",
                   "/fhir/Practitioner?name=x&_format=xml"):
        gateway.refused(gateway.get(target, issuer.patient()), 406, "format_unjudged")


def test_head_shows_nothing_and_goes_on_as_it_came(gateway, issuer):
    for target in ("/fhir/Patient/ann", "/fhir/Practitioner/7"):
        headers = [("if-none-match", 'W/"1"')]
        response = gateway.send("HEAD", target, issuer.patient(), headers)
        got, _ = gateway.allowed(response)
        assert response.body == b"" and got.header("if-none-match") == 'W/"1"'
