#!/usr/bin/env python3
"""Writes src/fhir/tables/{r4,r4b,r5}.rs from HL7's own definitions (npm packages, CC0-1.0).

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
from pathlib import Path

from expressions import KINDS, Elements

# Release, npm package, version, SHA-256 of the package file.
RELEASES = [
    ("r4", "hl7.fhir.r4.examples", "4.0.1",
     "dce87f1b5b9341867033f7d1f544fa1b5232503f6d62813887ac6b8a8b6cb682"),
    ("r4b", "hl7.fhir.r4b.core", "4.3.0",
     "2abd390aa5ad25eb269eb46dad45380db2fa7ba653e39926b75973475c3bc4ce"),
    ("r5", "hl7.fhir.r5.core", "5.0.0",
     "09f22107bef64313545a50d2c127d20f81173c499a395672fae089bc23e72fab"),
]
COMPARTMENTS = ["device", "encounter", "patient", "practitioner", "relatedPerson"]
TABLES = Path(__file__).resolve().parents[2] / "src" / "fhir" / "tables"


def main():
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--check", action="store_true", help="write nothing, fail on a difference")
    arguments.add_argument("--packages", type=Path, help="folder that keeps the packages")
    arguments = arguments.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.packages or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        differing = [r for r in RELEASES if not settle(r, folder, arguments.check)]
    for name, *_ in differing:
        print(f"src/fhir/tables/{name}.rs differs from what the definitions give: run `make tables`")
    sys.exit(1 if differing else 0)


def settle(release, folder, check):
    """Writes one table, or compares it: whether the file is then as it should be."""
    name, package, version, digest = release
    definitions = Definitions(fetch(package, version, digest, folder))
    text = table(definitions, f"{package}@{version}")
    evaluated = sum(map(len, definitions.evaluated.values()))
    print(f"{name}: {evaluated} parameters evaluated, {len(definitions.left_out)} left out")
    path = TABLES / f"{name}.rs"
    if check:
        return path.exists() and path.read_text() == text
    path.write_text(text)
    print(f"wrote {path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path}")
    return True


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


def table(definitions, origin):
    types = definitions.types
    references = [(t, definitions.references(t)) for t in types]
    shared = shared_targets(references, types)
    lines = [
        f"//! Generated by `python3 tools/fhir-tables/generate.py` from {origin} (npm, HL7, CC0-1.0).",
        "//! Do not edit.",
        "",
        "use super::{Compartment, References, Tables};",
        "",
        "pub(in crate::fhir) static TABLES: Tables = Tables {",
        "    types: TYPES,",
        "    compartments: COMPARTMENTS,",
        "    references: REFERENCES,",
        "    patient_parameters: PATIENT_PARAMETERS,",
        "    subjects: SUBJECTS,",
        "    elements: ELEMENTS,",
        "};",
        "",
        f"static TYPES: &[&str] = &{strings(types)};",
        "",
        "static COMPARTMENTS: &[Compartment] = &[",
    ]
    for owner, members in definitions.compartments:
        lines.append(f'    Compartment {{ owner: "{owner}", members: &[')
        lines += [f'        ("{type_}", &{strings(params)}),' for type_, params in members]
        lines.append("    ] },")
    lines += ["];", "", "static REFERENCES: &[(&str, References)] = &["]
    for type_, params in references:
        if params:
            pairs = ", ".join(f'("{code}", {shared[tuple(targets)]})' for code, targets in params)
            lines.append(f'    ("{type_}", &[{pairs}]),')
    lines += ["];", "", "static PATIENT_PARAMETERS: &[(&str, &[&str])] = &["]
    for type_ in types:
        params = definitions.patient_parameters(type_)
        if params:
            lines.append(f'    ("{type_}", &{strings(params)}),')
    lines += ["];", "", "static SUBJECTS: &[(&str, &str)] = &["]
    for type_ in types:
        if code := definitions.subject(type_):
            lines.append(f'    ("{type_}", "{code}"),')
    lines += ["];", "", "static ELEMENTS: &[(&str, &str)] = &["]
    for type_, parameters in sorted(definitions.evaluated.items()):
        if parameters:
            elements = ";".join(f"{code}={','.join(ends)}" for code, ends in parameters.items())
            lines.append(f'    ("{type_}", "{elements}"),')
    lines += ["];", ""]
    for targets, name in sorted(shared.items(), key=lambda item: item[1]):
        if name != "TYPES":
            lines.append(f"static {name}: &[&str] = &{strings(targets)};")
    return "\n".join(lines) + "\n"


def shared_targets(references, types):
    """A name for each distinct list of targets."""
    distinct = sorted({tuple(targets) for _, params in references for _, targets in params})
    names = {targets: f"T{number:03}" for number, targets in enumerate(distinct)}
    names[tuple(types)] = "TYPES"
    return names


def strings(items):
    return "[" + ", ".join(f'"{item}"' for item in items) + "]"


if __name__ == "__main__":
    main()
