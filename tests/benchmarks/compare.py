"""The comparison: the servers take turns, round after round, so that a busy moment affects all of them."""

import itertools
import json
import statistics
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path

from tests.benchmarks.load import Load, Outcome
from tests.benchmarks.plain import sdl
from tests.benchmarks.queries import QUERIES, Varying, fill, template
from tests.benchmarks.servers import ROOT, BenchmarkError, Server, Stage, ask
from tests.benchmarks.upstream import SLOW_PATH

GATEWAY, AGAINST, CACHE_OFF = "gateway", "other checkout", "cache off"
PLAIN, BRAMBLE = "plain Strawberry", "Bramble"
MERCURIUS, YOGA = "Mercurius + JIT", "Yoga + JIT"

_FULL_CACHE_BYTES = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Mode:
    """A kind of traffic.

    Args:
        servers: that are compared with the gateway.
        queries: measured one after the other, or "mix".
        settings: of the gateway, beside its defaults.
        hot: whether peers have a cache.
    """

    about: str
    varying: Varying
    servers: tuple[str, ...]
    queries: tuple[str, ...] = tuple(QUERIES)
    settings: Mapping[str, str] = field(default_factory=dict, hash=False)
    hot: bool = False
    upstream_path: str = ""
    fills_cache: bool = False
    connections: int | None = None


_OFF = {"CACHE_TTL_SECONDS": "0"}

MODES = {
    "uncached": Mode(
        about="another page each time",
        varying="page",
        servers=(AGAINST, PLAIN, BRAMBLE, MERCURIUS, YOGA),
    ),
    "full": Mode(
        about="the cache is full, another caller each time",
        varying="caller",
        servers=(AGAINST, CACHE_OFF),
        settings={"CACHE_MAX_BYTES": str(_FULL_CACHE_BYTES)},
        fills_cache=True,
    ),
    "off": Mode(
        about="no cache, another caller each time", varying="caller", servers=(AGAINST,), settings=_OFF
    ),
    "hot": Mode(
        about="one caller, the same operation, proxy headers differ",
        varying="headers",
        servers=(AGAINST, PLAIN, MERCURIUS),
        hot=True,
    ),
    "identical": Mode(
        about="one caller, the same bytes", varying="nothing", servers=(AGAINST, MERCURIUS), hot=True
    ),
    "mix": Mode(
        about="200 callers, 50 pages, Zipf, 70 % Q1, 25 % Q2, 5 % Q3",
        varying="mix",
        servers=(AGAINST, MERCURIUS),
        queries=("mix",),
        hot=True,
    ),
    "wide": Mode(
        about="256 connections, an upstream of 20 ms, another page each time",
        varying="page",
        servers=(AGAINST,),
        queries=("Q1",),
        upstream_path=SLOW_PATH,
        connections=256,
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What to compare, and for how long."""

    seconds: float
    rounds: int
    connections: int
    modes: Sequence[str]
    queries: Sequence[str]
    peers: Sequence[str]
    against: Path | None
    node_warm_up_seconds: float

    def servers(self, mode: str) -> list[str]:
        present = {GATEWAY, CACHE_OFF, *self.peers, *([AGAINST] if self.against else [])}
        return [GATEWAY, *(name for name in MODES[mode].servers if name in present)]

    def cases(self) -> Iterator["Case"]:
        for mode in self.modes:
            for query in MODES[mode].queries:
                if query in (*self.queries, "mix"):
                    yield from (Case(mode, query, server) for server in self.servers(mode))


@dataclass(frozen=True, slots=True)
class Case:
    """One query, or the mix, in one mode, sent to one server."""

    mode: str
    query: str
    server: str

    @property
    def process(self) -> tuple[str, ...]:
        """What distinguishes the process of the server from others."""
        mode = MODES[self.mode]
        if self.server == CACHE_OFF:
            return GATEWAY, "off"
        if self.server in (GATEWAY, AGAINST):
            is_default = not mode.settings and not mode.upstream_path
            return self.server, "default" if is_default else self.mode
        return self.server, "hot" if mode.hot else "uncached"


@dataclass(frozen=True, slots=True)
class Results:
    options: Options
    outcomes: Mapping[Case, Sequence[Outcome]]

    def ratio(self, case: Case, figure: Callable[[Outcome], float]) -> float:
        """Return the median of the rounds' ratios of the gateway's figure to the server's."""
        ours = self.outcomes[Case(case.mode, case.query, GATEWAY)]
        theirs = self.outcomes[case]
        return statistics.median(figure(a) / figure(b) for a, b in zip(ours, theirs, strict=True))

    def median(self, case: Case, figure: Callable[[Outcome], float]) -> float:
        return statistics.median(map(figure, self.outcomes[case]))


async def compare(stage: Stage, options: Options) -> Results:
    """Run all rounds.

    Raises:
        BenchmarkError: a server does not start, or answers otherwise than the gateway.
    """
    cases = list(options.cases())
    outcomes: dict[Case, list[Outcome]] = {case: [] for case in cases}
    async with AsyncExitStack() as stack:
        contest = Contest(stage, options, await stack.enter_async_context(stage.upstream()))
        for case in cases:
            await contest.begin(case, stack)
        for number in range(1, options.rounds + 1):
            for case in cases:
                outcome = await contest.play(case)
                outcomes[case].append(outcome)
                print(f"round {number}: {described(case, outcome)}", file=sys.stderr)
    return Results(options, outcomes)


class Contest:
    """The servers of all cases, over one upstream."""

    def __init__(self, stage: Stage, options: Options, upstream: Server) -> None:
        self._stage = stage
        self._options = options
        self._upstream = upstream
        self._servers: dict[tuple[str, ...], Server] = {}
        self._answers: dict[str, object] = {}
        self._body_bytes: dict[tuple[str, ...], dict[str, int]] = {}
        self._warmed: set[tuple[str, ...]] = set()
        self._numbers = itertools.count()

    async def begin(self, case: Case, stack: AsyncExitStack) -> None:
        """Start the server of a case, if it is not there, and compare its answers with the others'."""
        if case.process not in self._servers:
            server = await stack.enter_async_context(self._started(case))
            self._servers[case.process] = server
            self._body_bytes[case.process] = {name: await self._check(server, name) for name in QUERIES}
        warmed = *case.process, case.query
        if case.server in (MERCURIUS, YOGA) and warmed not in self._warmed:
            self._warmed.add(warmed)
            await self.play(case, warm_up_seconds=self._options.node_warm_up_seconds)

    async def play(self, case: Case, *, warm_up_seconds: float | None = None) -> Outcome:
        options, mode, server = self._options, MODES[case.mode], self._servers[case.process]
        seconds = options.seconds * (2 if mode.varying == "mix" else 1)
        load = Load(
            port=server.port,
            query=case.query,
            varying=mode.varying,
            token=f"round-{next(self._numbers)}",
            body_bytes=self._body_bytes[case.process],
            connections=mode.connections or options.connections,
            warm_up_requests=self._requests_to_fill(case) if mode.fills_cache else 0,
            warm_up_seconds=options.seconds / 4 if warm_up_seconds is None else warm_up_seconds,
            seconds=seconds,
            server_id=server.process_id,
        )
        return (await self._stage.load([load]))[0]

    def _requests_to_fill(self, case: Case) -> int:
        # A page is kept as its JSON, of at least this size.
        page_bytes = 20 * (250 + 1_000 * QUERIES[case.query].max_images)
        full = _FULL_CACHE_BYTES // page_bytes
        return full if self._options.seconds >= 1 else min(full, 20)

    def _started(self, case: Case) -> AbstractAsyncContextManager[Server]:
        mode = MODES[case.mode]
        url = self._upstream.url + mode.upstream_path
        cache = ["--hot"] if mode.hot else []
        match case.server:
            case "gateway":
                return self._stage.gateway(ROOT, url, mode.settings)
            case "cache off":
                return self._stage.gateway(ROOT, url, _OFF)
            case "other checkout":
                assert self._options.against
                return self._stage.gateway(self._options.against, url, mode.settings)
            case "plain Strawberry":
                return self._stage.python_peer("tests.benchmarks.plain", url, *cache)
            case "Bramble":
                return self._stage.python_peer("tests.benchmarks.bramble_peer", url, *cache)
        kind = "mercurius" if case.server == MERCURIUS else "yoga"
        return self._stage.node_peer(url, sdl(), "--kind", kind, *cache)

    async def _check(self, server: Server, query: str) -> int:
        """Return the length of the server's response, after comparing its content with the first server's."""
        request = fill(template(QUERIES[query], "checked"), number=0)
        status, body = await ask(server.port, request)
        answer = json.loads(body)
        expected = self._answers.setdefault(query, answer)
        if status != 200 or "errors" in answer or answer != expected:
            raise BenchmarkError(f"{query} is not answered as by the others: {status} {body[:2000]!r}")
        return len(body)


def described(case: Case, outcome: Outcome) -> str:
    busy = "" if outcome.server_share > 0.85 else f", only {outcome.server_share:.0%} busy"
    return (
        f"{case.mode} {case.query}, {case.server}: {outcome.requests_per_second:,.0f}/s,"
        f" {outcome.cpu_seconds * 1e3:.3f} ms CPU, p50 {outcome.p50_seconds * 1e3:.1f} ms,"
        f" p99 {outcome.p99_seconds * 1e3:.1f} ms{busy}"
    )
