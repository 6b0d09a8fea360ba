"""Audit records of a month in a clinic, some of them with names that an attacker chose."""

import datetime
import json
import random

ATTACKS = [
    "<script>window.pwned = 'script'</script>",
    "\"><img src=x onerror=\"window.pwned = 'img'\">",
    "</title></style></svg><svg onload=\"window.pwned = 'svg'\">",
    "' onmouseover='window.pwned = 1' style='position:fixed",
    "javascript:window.pwned=1",
    "&lt;script&gt;",
    "\u202egnp.exe\x1b[2J\r\n\u2028",
    "url(https://evil.example/x.png)",
]
START = datetime.datetime(2026, 9, 21, 14, 13, 20, tzinfo=datetime.timezone.utc)
STOLEN = "t-stolen"
REASONS = ["token_expired", "scope_insufficient", "patient_mismatch", "token_revoked",
           "token_signature_invalid", "search_patient_required", "limit_patients", "token_missing"]
TYPES = ["Observation", "Condition", "MedicationRequest", "Encounter", "DiagnosticReport"]


def month(count=6000):
    """Records of a month: two instances, a night of refusals, a stolen token, exports, a batch, repeats,
    two places where records are missing."""
    dice, counts = random.Random(5), {}
    records = [one(dice, number / count, counts) for number in range(count)]
    for number in range(60):
        stolen = one(dice, 0.7 + number / 6000, counts)
        allow(stolen, f"p{number * 7 % 40}")
        user = ATTACKS[0] if number == 30 else "Practitioner/17"
        stolen["who"] = {**stolen["who"], "jti": STOLEN, "user": user, "client": "heart-app"}
        if number % 20 == 10:
            stolen.update(decision="deny", reason="token_revoked")
        records.append(stolen)
    for number, name in enumerate(ATTACKS * 3):
        hostile = one(dice, 0.4 + number / 500, counts)
        allow(hostile, name)
        hostile["who"] = {"issuer": "https://auth.clinic.example", "sub": name, "client": name,
                          "user": name, "jti": name}
        hostile["what"] = {"method": name, "interaction": name, "type": "Patient", "id": name}
        hostile["reason"] = name
        records.append(hostile)
    records += export(dice, counts) + batch(dice, counts)
    records += [records[number] for number in range(0, 500, 50)]
    return records


def write(file, records):
    """As they end up in Envoy's log: behind its prefix, between other lines."""
    prefix = "[2026-09-21 14:13:20.250][27][info][wasm] [context.cc:1137] wasm log phiward: "
    with open(file, "w") as log:
        for number, record in enumerate(records):
            if number % 100 == 0:
                log.write("[2026-09-21 14:13:20.250][27][info][main] starting <b>main</b> loop\n")
            log.write(prefix + json.dumps(record, separators=(",", ":")) + "\n")
        log.write(prefix + json.dumps(records[0], separators=(",", ":"))[:200] + "\n")


def one(dice, part, counts):
    time = START + datetime.timedelta(days=30 * part, seconds=dice.random() * 3600)
    instance = dice.choice(["5f1c0d3e9a7b2c44", "a1c0d3e9a7b2c441"])
    # Every instance lost five records once.
    counts[instance] = counts.get(instance, 0) + (6 if counts.get(instance) == 700 else 1)
    patient, user = f"p{int(dice.paretovariate(0.9)) % 900}", int(dice.paretovariate(0.8)) % 120
    record = {
        "schema": "phiward.audit/1", "time": time.isoformat(timespec="milliseconds")[:-6] + "Z",
        "id": f"{instance}-{counts[instance]}", "decision": "allow", "reason": "allowed",
        "who": {"issuer": "https://auth.clinic.example", "sub": f"u-{user}",
                "client": dice.choice(["heart-app", "growth-chart", "portal", "portal", "ward-tablet"]),
                "user": f"Practitioner/{user}", "jti": f"t-{int(part * 1500)}-{user % 9}"},
        "from": {"address": "10.0.0.7:51234"},
        "what": {"method": "GET", "interaction": "search-type", "type": dice.choice(TYPES)},
        "patients": [patient],
        "outcome": {"status": 200, "bytes": dice.randrange(50000), "duration_ms": 12.3}}
    if dice.random() < 0.03 or 0.5 < part < 0.507:
        record["decision"], record["reason"] = "deny", dice.choice(REASONS[: 3 + dice.randrange(6)])
        record["outcome"]["status"] = 403
    elif dice.random() < 0.004:
        record["decision"], record["reason"] = "error", "token_keys_missing"
        record["outcome"]["status"] = 503
    elif dice.random() < 0.003:
        record["outcome"] = {"bytes": 0, "duration_ms": 30000.0, "failure": "client_gone"}
    return record


def allow(record, patient):
    record.update(decision="allow", reason="allowed", patients=[patient])
    record["outcome"] = {"status": 200, "bytes": 10, "duration_ms": 1.0}


def export(dice, counts):
    records = []
    for status in [202, 202, 202, 200, 200, 200]:
        record = one(dice, 0.8, counts)
        allow(record, "p1")
        record["who"] = {"issuer": "https://auth.clinic.example", "client": "lab-feed", "jti": "t-export"}
        record["what"] = {"method": "GET", "interaction": "operation", "type": "Group", "id": "7",
                          "operation": "$export"}
        record["outcome"]["status"], record["outcome"]["bytes"] = status, 5_000_000
        records.append(record)
    return records


def batch(dice, counts):
    first = one(dice, 0.9, counts)
    allow(first, "p1")
    first["what"] = {"method": "POST", "interaction": "batch"}
    entries = []
    for number in range(5):
        entry = one(dice, 0.9, counts)
        allow(entry, f"p{number}")
        entry["part_of"] = first["id"]
        entries.append(entry)
    return [first, *entries]
