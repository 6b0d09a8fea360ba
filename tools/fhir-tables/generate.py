#!/usr/bin/env python3
"""Writes src/fhir/tables/tables.txt from HL7's own definitions (npm packages, CC0-1.0), and beside it the
same packed with deflate, which goes into the filter.

    python3 tools/fhir-tables/generate.py            writes the tables
    python3 tools/fhir-tables/generate.py --check    fails when the committed tables differ
    ... --packages DIR                               keeps and reuses the packages in DIR

Needs npm to fetch the packages. Their digests are checked, so the tables are reproducible.
"""

import argparse
import hashlib
import json
import subprocess
import sys
import tarfile
import tempfile
import zlib
from pathlib import Path

from expressions import KINDS, Elements

# Release, npm package, version, SHA-256 of the package file.
RELEASES = [
    ("R4", "hl7.fhir.r4.examples", "4.0.1",
     "dce87f1b5b9341867033f7d1f544fa1b5232503f6d62813887ac6b8a8b6cb682"),
    ("R4B", "hl7.fhir.r4b.core", "4.3.0",
     "2abd390aa5ad25eb269eb46dad45380db2fa7ba653e39926b75973475c3bc4ce"),
    ("R5", "hl7.fhir.r5.core", "5.0.0",
     "09f22107bef64313545a50d2c127d20f81173c499a395672fae089bc23e72fab"),
]
COMPARTMENTS = ["device", "encounter", "patient", "practitioner", "relatedPerson"]
ORDER = ["types", "targets", "compartment", "references", "patient", "subject", "elements"]
TABLES = Path(__file__).resolve().parents[2] / "src" / "fhir" / "tables"


def main():
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--check", action="store_true", help="write nothing, fail on a difference")
    arguments.add_argument("--packages", type=Path, help="folder that keeps the packages")
    arguments = arguments.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.packages or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        text = table({release: definitions(package, folder) for release, *package in RELEASES})
    if not arguments.check:
        (TABLES / "tables.txt").write_text(text)
        (TABLES / "tables.deflate").write_bytes(packed(text))
        print(f"wrote {len(text)} bytes, packed {len(packed(text))}")
    elif (TABLES / "tables.txt").read_text() != text or unpacked(TABLES / "tables.deflate") != text:
        sys.exit("src/fhir/tables differs from what the definitions give: run `make tables`")


def definitions(package, folder):
    found = Definitions(fetch(*package, folder))
    evaluated = sum(map(len, found.evaluated.values()))
    print(f"{package[0]}: {evaluated} parameters evaluated, {len(found.left_out)} left out")
    return found


def packed(text):
    """Without header and checksum."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15, 9)
    return packer.compress(text.encode()) + packer.flush()


def unpacked(path):
    return zlib.decompress(path.read_bytes(), -15).decode()


def fetch(package, version, digest, folder):
    path = folder / f"{package}-{version}.tgz"
    if not path.exists():
        command = ["npm", "pack", "--silent", f"{package}@{version}", "--pack-destination", str(folder)]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    if found != digest:
        sys.exit(f"{path.name}: SHA-256 is {found}, expected {digest}")
    return path


class Definitions:
    """What the tables need of one release."""

    def __init__(self, path):
        structures, parameters, compartments = read(path)
        self.types = sorted(
            s["type"] for s in structures
            if s["kind"] == "resource" and s.get("derivation") == "specialization" and not s["abstract"]
        )
        # The packages hold three parameters made up to show what a definition looks like.
        official = [p for p in parameters if not p["id"].startswith("example") and "base" in p]
        self.by_url = {p["url"]: p for p in official}
        self.parameters = {type_: {} for type_ in [*self.types, "Resource"]}
        for parameter in official:
            for base in parameter["base"]:
                if base in self.parameters:
                    self.parameters[base][parameter["code"]] = parameter
        self.elements = Elements(structures)
        self.evaluated, self.left_out = self.reduced()
        self.compartments = [compartment(compartments[name]) for name in COMPARTMENTS]

    def reduced(self):
        """The elements that each type's parameters look at, and the parameters left out because
        their definitions can't be reduced to elements."""
        evaluated, left_out = {}, {}
        for type_, parameters in self.parameters.items():
            evaluated[type_] = {}
            for code, p in sorted(parameters.items()):
                try:
                    if p["type"] in KINDS:
                        evaluated[type_][code] = self.elements.reduce(type_, p)
                except ValueError as error:
                    left_out[f"{type_}.{code}"] = str(error)
        return evaluated, left_out

    def targets(self, parameter):
        """Types a reference parameter can refer to. A definition that names none allows all."""
        known = sorted(set(parameter.get("target", [])) & set(self.types))
        return known or self.types

    def references(self, type_):
        """Reference parameters of a type with their targets."""
        named = sorted(self.parameters[type_].items())
        return [(code, self.targets(p)) for code, p in named if p["type"] == "reference"]

    def subject(self, type_):
        """The parameter that says which patient a resource of a type is about. None where there is
        none, and for Patient, which is about itself."""
        for code in ("patient", "subject") if type_ != "Patient" else ():
            p = self.parameters[type_].get(code)
            if p and p["type"] == "reference" and "Patient" in self.targets(p):
                return code
        return None

    def patient_parameters(self, type_):
        """Every parameter of a type whose value can name a patient."""
        names = {code for code, p in self.parameters[type_].items() if self.names_patient(p)}
        patient = next(members for owner, members in self.compartments if owner == "Patient")
        names |= set(dict(patient).get(type_, []))
        return sorted(names | ({"_id"} if type_ == "Patient" else set()))

    def names_patient(self, parameter):
        if parameter["type"] == "composite":
            parts = [self.by_url.get(c["definition"]) for c in parameter["component"]]
            return any(p is None or self.names_patient(p) for p in parts)
        return parameter["type"] == "reference" and "Patient" in self.targets(parameter)


def read(path):
    """StructureDefinitions, SearchParameters and CompartmentDefinitions of a package."""
    structures, parameters, compartments = [], [], {}
    with tarfile.open(path) as package:
        for member in package:
            folder, _, name = member.name.rpartition("/")
            kind = name.partition("-")[0]
            if folder != "package" or not name.endswith(".json"):
                continue
            if kind == "StructureDefinition":
                structures.append(json.load(package.extractfile(member)))
            elif kind == "SearchParameter":
                parameters.append(json.load(package.extractfile(member)))
            elif kind == "CompartmentDefinition":
                definition = json.load(package.extractfile(member))
                compartments[definition["id"]] = definition
    return structures, parameters, compartments


def compartment(definition):
    """The owner's type and the member types with their parameters. `{def}`, the owner itself by
    identity, is a member without a parameter."""
    members = [
        (member["code"], sorted(set(member["param"]) - {"{def}"}))
        for member in definition["resource"] if member.get("param")
    ]
    return definition["code"], sorted(members)


def table(releases):
    """The text: under each heading rows, each after the releases that have it. None: all of them."""
    rows = {}
    targets = shared_targets(releases.values())
    for release, definitions in releases.items():
        for heading, name, rest in sections(definitions, targets):
            rows.setdefault((heading, name, rest), {})[release] = True
    origins = ", ".join(f"{package}@{version}" for _, package, version, _ in RELEASES)
    lines = [
        "# Generated by `python3 tools/fhir-tables/generate.py` from",
        f"# {origins} (npm, HL7, CC0-1.0). Do not edit.",
    ]
    last = None
    for (heading, name, rest), known in sorted(rows.items(), key=place):
        if heading != last:
            lines.append(f"[{heading}]")
            last = heading
        mark = "" if len(known) == len(releases) else " ".join(known) + "|"
        row = rest if heading == "targets" else f"{name} {rest}".rstrip()
        lines.append(mark + row)
    return "\n".join(lines) + "\n"


def sections(definitions, targets):
    """Heading, name and rest of every row of a release."""
    types = definitions.types
    for type_ in types:
        yield "types", type_, ""
    for owner, members in definitions.compartments:
        for type_, params in members:
            yield f"compartment {owner}", type_, " ".join(params)
    for type_ in types:
        for code, to in definitions.references(type_):
            number = targets.index(listed(to, types))
            yield "targets", number, listed(to, types)
            yield f"references {type_}", code, str(number)
        if params := definitions.patient_parameters(type_):
            yield "patient", type_, " ".join(params)
        if code := definitions.subject(type_):
            yield "subject", type_, code
    for type_, parameters in definitions.evaluated.items():
        for code, ends in parameters.items():
            yield f"elements {type_}", code, ",".join(ends)


def shared_targets(releases):
    """Every distinct list of targets; its place is its number."""
    return sorted({
        listed(to, definitions.types)
        for definitions in releases for type_ in definitions.types
        for _, to in definitions.references(type_)
    })


def listed(targets, types):
    return "*" if targets == types else " ".join(targets)


def place(row):
    """Tables in the order of reading, then rows by name."""
    heading, name, rest = row[0]
    return ORDER.index(heading.partition(" ")[0]), heading, name, rest


if __name__ == "__main__":
    main()
