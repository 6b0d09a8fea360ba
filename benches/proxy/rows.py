"""What is measured."""

from dataclasses import dataclass

BARE, DIRECT = "bare", "Envoy answers 401 itself"
CACHED_NATIVELY = "jwt_authn, cached token"
NATIVE_STACK = "jwt_authn, cached token, RBAC, local_ratelimit"
NOTHING = "a wasm filter that does nothing"
CALLS = "a wasm filter with phiward's calls of the host"
RECORD_CALLS = "the same with those of a record"
ALLOWED = "phiward, system search"
NARROWED = "phiward, patient search, narrowed"
FOREIGN, GARBAGE = "phiward, refused: another patient", "phiward, refused: garbage as token"
SIZES = {"2 KB": 2_000, "20 KB": 20_000, "200 KB": 200_000}
ALGORITHMS = ("RS256", "ES256", "PS256", "EdDSA")


def bare(size):
    return f"{BARE}, answer of {size}"


def parsed(size):
    return f"a wasm filter that parses the answer, {size}"


def read(size):
    return f"phiward, patient read, judged answer of {size}"


def verified_natively(algorithm):
    return f"jwt_authn, {algorithm} verified each time"


def new_token(algorithm):
    return f"phiward, new {algorithm} token each time"


@dataclass(frozen=True)
class Row:
    """`over`: the row of a listener without a filter that gives the same answer. `share`: of the requests of
    a turn, so that dear rows take no longer than others. `records`: the filter sends audit records in
    batches, which are part of what a request costs."""

    name: str
    listener: str
    traffic: str = "system"
    over: str = BARE
    status: int = 200
    share: float = 1.0
    records: bool = False


def rows():
    """All of them, in the order of the page."""
    return [*_without(), *_native(), *_floors(), *_phiward()]


def _without():
    yield Row(BARE, "bare")
    for size, share in zip(SIZES, (1, 1, 0.25)):
        yield Row(bare(size), "bare", f"read {size}", bare(size), share=share)
    yield Row(DIRECT, "direct", "garbage", DIRECT, 401)


def _native():
    yield Row(CACHED_NATIVELY, "jwt-cached")
    yield Row(NATIVE_STACK, "stack")
    for algorithm in ALGORITHMS:
        yield Row(verified_natively(algorithm), "jwt", f"system {algorithm}")
    yield Row("jwt_authn, refused: garbage as token", "jwt-cached", "garbage", DIRECT, 401)
    yield Row("ext_authz, a service that says yes", "ext_authz")


def _floors():
    yield Row(NOTHING, "nothing")
    yield Row(CALLS, "calls")
    yield Row(RECORD_CALLS, "records")
    for size, share in zip(SIZES, (1, 0.5, 0.1)):
        yield Row(parsed(size), "parse", f"read {size}", bare(size), share=share)


def _phiward():
    yield Row(ALLOWED, "phiward", records=True)
    yield Row(f"{ALLOWED}, records sealed", "phiward-sealed", records=True)
    yield Row(f"{ALLOWED}, nothing recorded", "phiward-off")
    yield Row(f"{ALLOWED}, records to Envoy's log", "phiward-log")
    yield Row(f"{ALLOWED}, records to the access log", "phiward-access-log")
    yield Row(NARROWED, "phiward", "patient", records=True)
    for size, share in zip(SIZES, (1, 0.5, 0.1)):
        yield Row(read(size), "phiward", f"read {size}", bare(size), share=share, records=True)
    yield Row(FOREIGN, "phiward", "foreign", DIRECT, 403, records=True)
    yield Row(GARBAGE, "phiward", "garbage", DIRECT, 401, records=True)
    for algorithm, share in zip(ALGORITHMS, (0.3, 0.3, 0.05, 0.15)):
        yield Row(new_token(algorithm), "phiward-new", f"new {algorithm}", share=share, records=True)
