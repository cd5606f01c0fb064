"""Clients that send operations of several callers, and compare the responses with those of one process."""

import asyncio
import itertools
import random
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx

from gallery_gateway.demo.callers import CALLERS
from gallery_gateway.upstream.transport import Pool
from tests.fakes import gateway

PATIENCE_SECONDS = 60

# No page of one answers another, so each is an upstream call for each caller.
OPERATIONS = (
    "{ gallery(ownership: MINE, perPage: 4) { pagination { total } projects { projectId totalImages } } }",
    "{ gallery(ownership: MINE, perPage: 4, page: 2) { projects { images(first: 3) { id status } } } }",
    '{ gallery(ownership: MINE, perPage: 4, search: "dress") { projects { images(first: 2) { id } } } }',
    "{ gallery(ownership: MINE, perPage: 4, order: ASC) { projects { projectId createdBy } } }",
)

Question = tuple[str, str]
"""A token and a document."""

QUESTIONS: tuple[Question, ...] = tuple(
    (caller.token, operation) for caller in CALLERS for operation in OPERATIONS
)

Answers = dict[Question, Any]


async def answers_of_one_process(upstream_url: str) -> Answers:
    transport = Pool(upstream_url, max_connections=10, max_bytes=10_000_000)
    async with gateway(transport, upstream_url=upstream_url) as client:
        answers = {(token, text): await client.ask(text, token=token) for token, text in QUESTIONS}
    assert not [answer for answer in answers.values() if "errors" in answer]
    # No caller's answer could pass for another's.
    assert len({repr(answer) for answer in answers.values()}) == len(answers)
    return answers


@dataclass
class Tally:
    """Of operations: all of them, those without an answer, and those with a wrong one."""

    operations: int = 0
    lost: int = 0
    wrong: int = 0


class Load:
    """Clients of one address.

    Args:
        answers: what is expected.
    """

    def __init__(self, url: str, answers: Answers) -> None:
        self._url = f"{url}/graphql"
        self._answers = answers
        self._answered = asyncio.Condition()
        self.stats = Tally()

    async def rounds(self, *, clients: int, rounds: int) -> None:
        """Each client asks everything `rounds` times, in an order of its own."""
        orders = (random.Random(client) for client in range(clients))
        async with self._http() as http:
            await asyncio.gather(
                *(
                    self._ask_all(http, [question for _ in range(rounds) for question in _mixed(order)])
                    for order in orders
                )
            )

    @asynccontextmanager
    async def without_end(self, *, clients: int) -> AsyncIterator[None]:
        """All of them ask one thing after another until the block ends; then what was asked is answered."""
        is_over = asyncio.Event()

        def questions(client: int) -> Iterable[Question]:
            order = random.Random(client)
            endless = itertools.chain.from_iterable(_mixed(order) for _ in itertools.count())
            return itertools.takewhile(lambda _question: not is_over.is_set(), endless)

        async with self._http() as http, asyncio.TaskGroup() as asking:
            for client in range(clients):
                asking.create_task(self._ask_all(http, questions(client)))
            try:
                yield
            finally:
                is_over.set()

    async def answered(self, more: int) -> None:
        """Wait until this many more operations have ended."""
        async with asyncio.timeout(PATIENCE_SECONDS), self._answered:
            wanted = self.stats.operations + more
            await self._answered.wait_for(lambda: self.stats.operations >= wanted)

    def _http(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(timeout=PATIENCE_SECONDS, trust_env=False)

    async def _ask_all(self, http: httpx.AsyncClient, questions: Iterable[Question]) -> None:
        for question in questions:
            answer = await self._ask(http, *question)
            async with self._answered:
                self.stats.operations += 1
                self.stats.lost += answer is None
                self.stats.wrong += answer is not None and answer != self._answers[question]["data"]
                self._answered.notify_all()

    async def _ask(self, http: httpx.AsyncClient, token: str, document: str) -> Any:
        """What is under `data`; None if there is no answer, or one with errors."""
        try:
            response = await http.post(
                self._url, json={"query": document}, headers={"authorization": f"Bearer {token}"}
            )
        except httpx.TransportError:
            return None
        if response.status_code != httpx.codes.OK:
            return None
        answer = response.json()
        return None if "errors" in answer else answer["data"]


def _mixed(order: random.Random) -> list[Question]:
    return order.sample(QUESTIONS, len(QUESTIONS))
