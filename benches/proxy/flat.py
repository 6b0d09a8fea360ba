"""What must not grow with lists, caches, scopes and workers; and memory."""

from dataclasses import dataclass

from benches.lists import Lists
from lab.processes import ROOT

from .goals import Goal
from .measured import Spread
from .rounds import Rounds, Side

FEW, CACHED, MANY = 100, 10_000, 100_000
MOST = 0.1  # what may be more, of all that a request costs in Envoy
MOST_MEMORY = 12.0  # MB
ENTRIES, SCOPES, WORKERS = "Entries in the revocation list", "Scopes in a token", "Workers"
TOKENS, MORE_TOKENS = "Tokens in turn, as many as a cache is for", "Tokens in turn, ten times more (`cached_tokens: 110000`)"
NAMES = [ENTRIES, TOKENS, MORE_TOKENS, SCOPES, WORKERS]
MEMORY = f"A worker beyond the first VM with {CACHED:,} tokens in turn takes at most {MOST_MEMORY:.0f} MB"
CONNECTIONS, PASSES = 61, 16  # prime to the number of tokens, and often: so that each worker gets all
NOT_RECORDED = {"sinks": []}


@dataclass
class Flat:
    """One thing that grows."""

    name: str
    few: int
    many: int
    before: Spread
    more: Spread

    @property
    def is_flat(self):
        return self.more.middle <= MOST * self.before.middle


@dataclass
class Growth:
    """Two sides, and what differs between them. `floor`: the same requests without a filter, when theirs
    differ as well."""

    name: str
    few: int
    many: int
    small: Side
    large: Side
    floor: tuple = ()

    @property
    def sides(self):
        return [self.small, self.large, *self.floor]

    def of(self, costs):
        small, large, *floor = ([one.all for one in costs[side.name]] for side in self.sides)
        more = [many - few for few, many in zip(small, large)]
        if floor:
            more = [one - (many - few) for one, few, many in zip(more, *floor)]
        return Flat(self.name, self.few, self.many, Spread.of(small), Spread.of(more))


class Flatness:
    """Measures it, with Envoys of their own: `start(name, workers, clusters, pin)` gives an Envoy, its
    listeners and its meter."""

    def __init__(self, start, folder, traffic, collector, entries, count):
        self._start, self._traffic, self._entries, self._count = start, traffic, entries, count
        self._rounds, self._memory = Rounds(folder, collector), []

    def run(self, rounds):
        """What is flat, and the goal of memory."""
        growths = [*self._in_one_envoy(), self._workers()]
        sides = {side.name: side for one in growths for side in one.sides}
        costs, _ = self._rounds.run(list(sides.values()), rounds, latency=False)
        return [one.of(costs) for one in growths], self._memory_goal()

    def _in_one_envoy(self):
        """With one worker."""
        lists = {"few": Lists(FEW), "many": Lists(self._entries)}
        _, listeners, meter = self._start(
            "flat", 1, {name: server.port for name, server in lists.items()})
        plain = self._traffic.file("system")
        small, large = (
            self._side(f"{server.size} entries", meter, plain, listeners.phiward(
                f"{server.size} entries", NOT_RECORDED, (name, f"{server.url}/v1/list")))
            for name, server in lists.items())
        yield Growth(ENTRIES, FEW, self._entries, small, large)
        few, cached, many = (self._tokens(number, listeners, meter) for number in (FEW, CACHED, MANY))
        yield Growth(TOKENS, FEW, CACHED, few, cached)
        yield Growth(MORE_TOKENS, FEW, MANY, few, many)
        bare, scopes, long = listeners.native("bare"), listeners.phiward("scopes", NOT_RECORDED), self._scopes()
        small, large, *floor = (
            self._side(f"{number}, {port}", meter, file, port)
            for port in (scopes, bare) for number, file in (("1 scope", plain), (f"{FEW} scopes", long)))
        yield Growth(SCOPES, 1, FEW, small, large, tuple(floor))
        meter.rest()

    def _tokens(self, number, listeners, meter):
        """A listener that has seen so many tokens."""
        name = f"{number} tokens"
        room = {} if number <= CACHED else {"cached_tokens": number + number // 10}
        file = self._traffic.write(name, [self._traffic.system("ES256") for _ in range(number)])
        side = self._side(name, meter, file, listeners.phiward(name, NOT_RECORDED, **room), walks=True)
        self._rounds.send(side, number)
        return side

    def _scopes(self):
        """Tokens with a scope for each of many types, Observation in the middle."""
        types = _types()
        first = max(0, types.index("Observation") - FEW // 2)
        scope = " ".join(f"system/{name}.rs" for name in types[first:first + FEW])
        assert scope.count(" ") == FEW - 1
        return self._traffic.write("scopes", [self._traffic.system(scope=scope) for _ in range(FEW)])

    def _workers(self):
        """Envoys with one, two and four workers, which have seen all tokens; also measures their memory."""
        tokens = [self._traffic.system("ES256") for _ in range(CACHED)]
        all_of_them, plain = self._traffic.write("cached", tokens), self._traffic.file("system")
        sides = {}
        for workers in 1, 2, 4:
            name = f"{workers} workers"
            envoy, listeners, meter = self._start(name, workers, {}, pin=False)
            port = listeners.phiward(name, NOT_RECORDED)
            side = self._side(name, meter, all_of_them, port)
            self._rounds.send(side, CACHED * (PASSES if workers > 1 else 1), CONNECTIONS)
            self._memory.append((workers, envoy.resident_bytes() / 1e6))
            meter.rest()
            sides[workers] = self._side(name, meter, plain, port)
            if workers > 2:
                envoy.stop()
        return Growth(WORKERS, 1, 2, sides[1], sides[2])

    def _memory_goal(self):
        (_, one), *_, (most, all_) = self._memory
        each = (all_ - one) / (most - 1)
        told = ", ".join(f"{workers}: {memory:.0f} MB" for workers, memory in self._memory)
        return Goal(MEMORY, f"{each:.1f} MB; Envoy with that many workers {told}", each <= MOST_MEMORY)

    def _side(self, name, meter, file, port, **more):
        return Side(name, port, file, meter, self._count, **more)


def _types():
    """The resource types of R4."""
    text = (ROOT / "src" / "fhir" / "tables" / "tables.txt").read_text()
    lines = text.partition("[types]\n")[2].partition("\n[")[0].splitlines()
    releases = (line.rpartition("|") for line in lines if line)
    return [name for known, _, name in releases if not known or "R4" in known.split()]
