"""Request bodies: held while they are judged, refused where none belongs."""

import time

from lab.http import Client, message

FORM = ("content-type", "application/x-www-form-urlencoded")


def test_a_form_in_pieces_is_held_until_its_end(gateway, issuer, upstream):
    with Client(gateway.client.port) as client:
        for pieces, status in [((b"code=1&da", b"te=2026"), 200), ((b"code=1&pat", b"ient=bob"), 403)]:
            upstream.clear()
            response = send_in_pieces(client, issuer.patient(), pieces)
            assert response.status == status, response
            bodies = [got.body for got in upstream.requests]
            assert bodies == ([b"code=1&date=2026&patient=Patient%2Fann"] if status == 200 else [])


def test_a_body_where_none_belongs_never_reaches_the_server(gateway, issuer):
    smuggled = b"GET /fhir/Patient/bob HTTP/1.1\r\nhost: a\r\n\r\n"
    for method in ("GET", "HEAD", "DELETE"):
        response = gateway.send(method, "/fhir/Patient/ann", issuer.patient(), body=smuggled)
        gateway.refused(response, 400, "body_unexpected", method=method)
    response = gateway.send("GET", "/fhir/metadata", body=smuggled)
    gateway.refused(response, 400, "body_unexpected")


def send_in_pieces(client, token, pieces):
    """A search whose form comes in chunks, each in a packet of its own."""
    head = message("POST", "/fhir/Observation/_search", client.port,
                   [FORM, ("transfer-encoding", "chunked")], b"", token)
    client.send_part(head)
    for piece in pieces:
        time.sleep(0.05)
        client.send_part(b"%x\r\n%s\r\n" % (len(piece), piece))
    return client.send(b"0\r\n\r\n", "POST")
