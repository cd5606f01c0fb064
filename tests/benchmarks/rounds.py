"""Runs the rounds: the servers take turns, so that a busy moment affects all of them."""

import itertools
import json
import statistics
import sys
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass

from tests.benchmarks.client import Answer, Connection
from tests.benchmarks.load import Load, Outcome
from tests.benchmarks.processes import BenchmarkError, Server, Stage
from tests.benchmarks.queries import QUERIES, STATES, Query, State, request, token

GATEWAY, PLAIN, FLOOR = "gateway", "plain", "floor"


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """The length of the rounds and the load."""

    seconds: float
    rounds: int
    connections: int
    with_variables: bool

    @property
    def warm_up_seconds(self) -> float:
        return self.seconds / 5


@dataclass(frozen=True, slots=True)
class Case:
    """One query in one state, sent to one server."""

    query: Query
    state: State
    server: str


@dataclass(frozen=True, slots=True)
class Figures:
    """Medians over the rounds of one case; a share is CPU seconds by seconds."""

    requests_per_second: float
    p50_seconds: float
    p99_seconds: float
    cpu_seconds: float
    server_share: float
    upstream_share: float
    load_share: float

    @classmethod
    def of(cls, outcomes: Sequence[Outcome]) -> "Figures":
        def median(figure: Callable[[Outcome], float]) -> float:
            return statistics.median(map(figure, outcomes))

        return cls(
            requests_per_second=median(lambda outcome: outcome.requests_per_second),
            p50_seconds=median(lambda outcome: outcome.p50_seconds),
            p99_seconds=median(lambda outcome: outcome.p99_seconds),
            cpu_seconds=median(lambda outcome: outcome.cpu_seconds_per_request),
            server_share=median(lambda outcome: outcome.server_cpu_seconds / outcome.seconds),
            upstream_share=median(lambda outcome: outcome.upstream_cpu_seconds / outcome.seconds),
            load_share=median(lambda outcome: outcome.load_cpu_seconds / outcome.seconds),
        )


class Contest:
    """The gateway, the baseline and the floor over one upstream."""

    def __init__(self, stage: Stage, options: Options) -> None:
        self.gateway: Server
        self.plain: dict[State, Server]
        self._stage = stage
        self._options = options
        self._upstream: Server
        self._floor: Server
        self._answers: dict[str, dict[str, Answer]] = {}
        self._callers = (f"round{number}" for number in itertools.count())

    async def begin(self, stack: AsyncExitStack) -> None:
        """Start all servers until the stack ends.

        Raises:
            BenchmarkError: a server does not answer, or the baseline answers otherwise than the gateway.
        """
        stage = self._stage
        self._upstream = await stack.enter_async_context(stage.upstream())
        self.gateway = await stack.enter_async_context(stage.gateway(self._upstream))
        self.plain = {
            "uncached": await stack.enter_async_context(stage.plain(self._upstream, hot=False)),
            "hot": await stack.enter_async_context(stage.plain(self._upstream, hot=True)),
        }
        for query in QUERIES:
            await self._compare(query)
        answers = {name: answer[GATEWAY] for name, answer in self._answers.items()}
        content_type = answers[QUERIES[0].name].content_type
        bodies = {name: answer.body for name, answer in answers.items()}
        self._floor = await stack.enter_async_context(stage.floor(bodies, content_type))

    async def play(self) -> dict[Case, Figures]:
        cases = list(_cases())
        outcomes: dict[Case, list[Outcome]] = {case: [] for case in cases}
        for number in range(1, self._options.rounds + 1):
            for case in cases:
                outcome = await self._play_round(case)
                outcomes[case].append(outcome)
                line = f"{case.query.name} {case.state}, {case.server}: {outcome.requests_per_second:,.0f}/s"
                print(f"round {number}, {line}", file=sys.stderr)
        return {case: Figures.of(played) for case, played in outcomes.items()}

    async def _play_round(self, case: Case) -> Outcome:
        server = self._server(case)
        answerer = GATEWAY if case.server == FLOOR else case.server
        return await self._stage.load(
            Load(
                port=server.port,
                path=f"/{case.query.name}" if case.server == FLOOR else "/graphql",
                body=case.query.body(with_variables=self._options.with_variables),
                body_bytes=len(self._answers[case.query.name][answerer].body),
                caller=next(self._callers),
                state=case.state,
                connections=self._options.connections,
                warm_up_seconds=self._options.warm_up_seconds,
                seconds=self._options.seconds,
                server_id=server.process_id,
                upstream_id=self._upstream.process_id,
            )
        )

    def _server(self, case: Case) -> Server:
        if case.server == PLAIN:
            return self.plain[case.state]
        return self.gateway if case.server == GATEWAY else self._floor

    async def _compare(self, query: Query) -> None:
        body = query.body(with_variables=self._options.with_variables)
        asked = request("/graphql", body, token("compared"))
        asked_servers = {GATEWAY: self.gateway, PLAIN: self.plain["uncached"]}
        answers: dict[str, Answer] = {}
        for name, server in asked_servers.items():
            async with Connection(server.port) as connection:
                answers[name] = await connection.ask(asked)
        self._answers[query.name] = answers
        gateway, plain = (json.loads(answer.body) for answer in answers.values())
        if gateway != plain or "errors" in gateway:
            bodies = "\n".join(f"{name}: {answer.body[:500]!r}" for name, answer in answers.items())
            raise BenchmarkError(f"{query.name} is not answered alike.\n{bodies}")


def _cases() -> list[Case]:
    return [
        Case(query, state, server)
        for query in QUERIES
        for state in STATES
        for server in (GATEWAY, PLAIN, FLOOR)
        if server == GATEWAY or (query.is_compared and (server == PLAIN or state == "hot"))
    ]
