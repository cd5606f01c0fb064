"""How probes run: in their order, each for itself."""

import asyncio
import logging

import pytest

from gallery_gateway.verify.command import PROBES
from gallery_gateway.verify.probe import Finding, Probe, Results, differs, holds, not_seen, probe, run_probes
from gallery_gateway.verify.session import NotSeenError, Session
from tests.verify.opening import session


def example(name: str, finding: Finding | BaseException) -> Probe:
    async def run(_session: Session) -> Finding:
        if isinstance(finding, BaseException):
            raise finding
        return finding

    return probe(f"examples.{name}", "Is it so?", meaning="It is not.")(run)


async def test_probes_run_in_their_order_and_are_announced() -> None:
    probes = [example("b", holds("1")), example("a", differs("2"))]
    announced: list[Probe] = []
    results: Results = {}
    async with session("http://127.0.0.1:1") as opened:
        await run_probes(probes, opened, results, progress=announced.append)

    assert announced == probes
    assert list(results.items()) == list(zip(probes, [holds("1"), differs("2")], strict=True))


async def test_a_probe_that_fails_costs_no_other_one_and_logs_no_message(
    caplog: pytest.LogCaptureFixture,
) -> None:
    probes = [
        example("a", KeyError("a secret")),
        example("b", NotSeenError("no image")),
        example("c", holds("1")),
    ]
    results: Results = {}
    with caplog.at_level(logging.DEBUG, logger="gallery_gateway.verify.probe"):
        async with session("http://127.0.0.1:1") as opened:
            await run_probes(probes, opened, results, progress=lambda _probe: None)

    assert list(results.values()) == [
        not_seen("the probe itself failed (KeyError); please report it"),
        not_seen("no image"),
        holds("1"),
    ]
    assert "examples.a" in caplog.text
    assert "secret" not in caplog.text


async def test_a_cancelled_run_keeps_what_it_found() -> None:
    probes = [example("a", holds("1")), example("b", asyncio.CancelledError()), example("c", holds("2"))]
    results: Results = {}
    async with session("http://127.0.0.1:1") as opened:
        with pytest.raises(asyncio.CancelledError):
            await run_probes(probes, opened, results, progress=lambda _probe: None)

    assert results == {probes[0]: holds("1")}


def test_ids_are_stable_words_and_used_once() -> None:
    ids = [each.id for each in PROBES]

    assert sorted(ids) == sorted(set(ids))
    assert [each for each in ids if not each.replace(".", "", 1).replace("_", "").isalpha()] == []


def test_every_probe_asks_a_question_and_says_what_follows() -> None:
    wrong = [x.id for x in PROBES if not x.question.endswith("?") or not x.meaning.endswith(".")]
    assert wrong == []
