"""Reduces a search parameter's FHIRPath expression to the JSON elements it looks at.

Only what can be said exactly is reduced; anything else raises ValueError, so that a table never
says less or more than its definition. src/fhir/element.rs says how an element is written.
"""

import re

# The letters of src/fhir/element.rs: how a value is compared with an element of a datatype, for
# each type of parameter.
TEXTS = ["code", "id", "string", "markdown", "uri", "url", "canonical", "oid", "uuid",
         "http://hl7.org/fhirpath/System.String"]
KINDS = {
    "token": {"CodeableConcept": "C", "Coding": "D", "Identifier": "I", "ContactPoint": "P",
              "boolean": "b", **dict.fromkeys(TEXTS, "t")},
    "reference": {"Reference": "R", "canonical": "u", "uri": "u", "url": "u"},
    "uri": dict.fromkeys(["uri", "url", "canonical", "oid", "uuid"], "u"),
    "string": {"string": "u", "markdown": "u", "HumanName": "N", "Address": "A"},
}


class Elements:
    """The elements of every type and datatype of a release, by path."""

    def __init__(self, structures):
        own = [s for s in structures
               if s.get("derivation") == "specialization" or s["type"] == "Resource"]
        self.types = {s["type"] for s in own}
        self.by_path = {e["path"]: e for s in own for e in s["snapshot"]["element"]}
        datatypes = {s["type"] for s in own if s["kind"] == "complex-type"}
        self.datatypes = datatypes - {"BackboneElement", "Element"}

    def reduce(self, type_, parameter):
        """The elements of a type that a parameter looks at, as they are written in the tables."""
        branches = [plain(branch) for branch in parameter.get("expression", "").split("|")]
        own = [steps for name, *steps in branches if name == type_]
        if any(name not in self.types for name, *_ in branches):
            raise ValueError(f"{parameter['expression']!r} begins at no type")
        ends = [end for steps in own for end in self.ends(type_, steps, "")]
        if not ends:
            raise ValueError(f"{parameter['expression']!r} leads nowhere in {type_}")
        return sorted({written(KINDS[parameter["type"]], *end) for end in ends})

    def ends(self, place, steps, path):
        """Where steps lead: each end with its datatype and, of a reference, the type it must refer
        to. None when the element is never of the type that it is cast to: a cast is to that type
        alone, not to those derived from it."""
        name, *steps = steps
        element, names = self.element(place, name)
        cast, steps = taken(CAST, steps)
        condition, steps = taken(CONDITION, steps)
        resolved, steps = taken(RESOLVED, steps)
        for code, name in names.items():
            if cast and cast[1] != code:
                continue
            inside = self.inside(element, code)
            here = path + name + ("*" if element["max"] != "1" else "")
            if condition:
                self.check_code(inside, condition[1])
                here += f"[{condition[1]}={condition[2]}]"
            if not steps:
                yield here, code, resolved[1] if resolved else None
            elif resolved:
                raise ValueError(f"{here} goes on in another resource")
            else:
                yield from self.ends(inside, steps, here + ".")

    def element(self, place, name):
        """An element, and how its name is written for each datatype it can have."""
        if choice := self.by_path.get(f"{place}.{name}[x]"):
            if choice["max"] != "1":
                raise ValueError(f"{place}.{name}[x] repeats")
            codes = [type_["code"] for type_ in choice["type"]]
            return choice, {code: f"{name}+{code[0].upper()}{code[1:]}" for code in codes}
        element = self.by_path.get(f"{place}.{name}")
        if element is None:
            raise ValueError(f"no element {name!r} in {place}")
        return element, {type_["code"]: name for type_ in element.get("type", [{"code": None}])}

    def inside(self, element, code):
        """Where the parts of an element are defined."""
        if "contentReference" in element:
            return element["contentReference"].partition("#")[2]
        return code if code in self.datatypes else element["path"]

    def check_code(self, place, name):
        element = self.by_path.get(f"{place}.{name}", {"type": [], "max": "0"})
        if [type_["code"] for type_ in element["type"]] != ["code"] or element["max"] != "1":
            raise ValueError(f"{place}.{name} is no code")


def plain(branch):
    """The steps of one branch, every cast written as `ofType(T)`."""
    text = re.sub(r"\(\s*([\w.]+) as (\w+)\s*\)", r"\1.ofType(\2)", branch.strip())
    text = re.sub(r"^([\w.]+) as (\w+)$", r"\1.ofType(\2)", text)
    text = re.sub(r"\.as\((\w+)\)", r".ofType(\1)", text)
    text = re.sub(r"^\(([\w.]+(\.ofType\(\w+\))?)\)$", r"\1", text)
    if not re.fullmatch(rf"\w+(\.({STEP}))+", text):
        raise ValueError(f"can't reduce {branch.strip()!r}")
    return re.findall(STEP, text)


def taken(pattern, steps):
    """The first step when it is of this kind, and the steps after it."""
    match = re.fullmatch(pattern, steps[0]) if steps else None
    return match, steps[1:] if match else steps


def written(kinds, path, code, target):
    """One end as the tables have it."""
    if code == "CodeableReference":
        code = "Reference" if "Reference" in kinds else "CodeableConcept"
        path += ".reference" if code == "Reference" else ".concept"
    if code not in kinds or (target and code != "Reference"):
        raise ValueError(f"{path} is a {code}")
    return kinds[code] + path + (f">{target}" if target else "")


CAST = r"ofType\((\w+)\)"
CONDITION = r"where\((\w+)='([\w-]+)'\)"
RESOLVED = r"where\(\s*resolve\(\) is (\w+)\s*\)"
STEP = "|".join(re.sub(r"(?<!\\)\(", "(?:", kind) for kind in (CAST, CONDITION, RESOLVED)) + r"|\w+"
