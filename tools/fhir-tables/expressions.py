"""Reduces a reference parameter's FHIRPath expression to the JSON elements it looks at.

Only what the definitions use is understood; anything else raises, so that a table never says
less or more than its definition.
"""

import re


class Elements:
    """The elements of every type and datatype of a release, by path."""

    def __init__(self, structures):
        own = [s for s in structures if s.get("derivation") == "specialization"]
        self.types = {s["type"] for s in own}
        self.by_path = {e["path"]: e for s in own for e in s["snapshot"]["element"]}

    def paths(self, type_, expression):
        """The paths to references that the expression's branches of a type look at. A path is a
        list of JSON names, each with whether the element may repeat."""
        branches = [plain(branch) for branch in expression.split("|")]
        own = [names for names in branches if names[0] == type_]
        strange = [names[0] for names in branches if names[0] not in self.types]
        if not own or strange:
            raise ValueError(f"{expression!r} is not about {type_}")
        return [self.path(names) for names in own]

    def path(self, names):
        place, steps, codes = names[0], [], set()
        for name in names[1:]:
            choice = f"{place}.{name}[x]" in self.by_path
            element = self.by_path.get(f"{place}.{name}[x]" if choice else f"{place}.{name}")
            if element is None or (steps and steps[-1][0].endswith(CHOSEN)):
                raise ValueError(f"{'.'.join(names)}: no element {name!r} in {place}")
            codes = {type_["code"] for type_ in element.get("type", [])}
            steps.append((name + CHOSEN if choice else name, element["max"] != "1"))
            if "contentReference" in element:
                place = element["contentReference"].partition("#")[2]
            else:
                place = "CodeableReference" if codes == {"CodeableReference"} else element["path"]
        if CHOSEN not in codes or (codes != {CHOSEN} and not choice):
            raise ValueError(f"{'.'.join(names)} is no reference: {sorted(codes)}")
        return steps


def plain(branch):
    """The names of one branch without casts to Reference and the condition that the reference is
    to a Patient: who reads the reference sees both."""
    text = re.sub(r"\(\s*([\w.]+) as Reference\s*\)", r"\1", branch.strip())
    text = re.sub(r"^([\w.]+) as Reference$", r"\1", text)
    text = re.sub(r"\.where\(\s*resolve\(\) is Patient\s*\)$", "", text)
    text = re.sub(r"\.(as|ofType)\(Reference\)$", "", text)
    if not re.fullmatch(r"\w+(\.\w+)+", text):
        raise ValueError(f"can't reduce {branch.strip()!r}")
    return text.split(".")


# The suffix of a choice element, `entity[x]`, whose value is a reference.
CHOSEN = "Reference"
