"""Walks along lists that change and are answered wrongly: complete and without repeats, or an error."""

import random
import re
from pathlib import Path

import pytest

from tests.fakes import FakeUpstream, gateway
from tests.faults.lists import FAULTS, PAGES, LyingList, verdicts, walk
from tests.gallery.endpoints import ManualClock

PAGE = Path(__file__).parents[2] / "docs" / "faults.md"

# Three columns, unlike the other tables of the page.
ROW = re.compile(r"^\| (?!fault)[^|\n]+ \| (?:complete|`UPSTREAM)[^|\n]* \| [^|\n]+ \|$", re.MULTILINE)


@pytest.mark.parametrize("fault", FAULTS)
async def test_a_walk_finds_every_lasting_project_once_or_ends_in_an_error(
    fault: str, request: pytest.FixtureRequest
) -> None:
    walks = request.config.getoption("walks") // len(FAULTS) + 1
    upstream, clock = FakeUpstream(), ManualClock()
    # Each walk has a token of its own, so that one gateway serves them all.
    async with gateway(upstream, clock=clock.clock) as client:
        for seed in range(walks):
            chances = random.Random(f"{fault} {seed}")
            changing = LyingList(FAULTS[fault], chances, chances.choice([0, 1, 7, 20, 60, 137]))
            changing.changes_within_steps = chances.random() < 0.2
            upstream.handler = changing.handle
            changes, step = chances.random() < 0.6, chances.choice([0, 1, 3, 10, 20, 50, 100])
            is_forward, order = chances.random() < 0.5, chances.choice(["ASC", "DESC"])
            pause = chances.choice([0, 0, 40])

            def between(
                changing: LyingList = changing, *, changes: bool = changes, pause: int = pause
            ) -> None:
                clock.step(pause)
                if changes:
                    changing.change()

            def size(chances: random.Random = chances, *, step: int = step) -> int:
                return step or chances.randint(1, 30)

            walked = await walk(
                client, f"token-{seed}", is_forward=is_forward, order=order, size=size, between=between
            )

            described = f"{fault}, seed {seed}, forward {is_forward}, {order}, {step}, {changes}: {walked}"
            assert len(walked.found) == len(set(walked.found)), described
            hidden = changing.hidden if "hidden" in fault else set()
            assert walked.error or changing.lasting - hidden <= set(walked.found), described


# A page does not show that the pages beside it would not continue it.
UNSEEN = {
    "`page` is ignored",
    "hidden projects are replaced by those of the next page",
    "pages overlap by one project",
    "pages overlap more and more",
}


@pytest.mark.parametrize("fault", [fault for fault in FAULTS if fault not in UNSEEN])
async def test_a_page_has_the_projects_of_the_plain_call_whatever_is_kept_or_in_flight(fault: str) -> None:
    # Where the total is short by what is hidden, a page that holds the complete list looks right.
    has_shown_all = fault != "projects are hidden after paging, and not in `total`"
    upstream = FakeUpstream()
    async with gateway(upstream) as client:
        for seed in range(8):
            chances = random.Random(seed)
            lying = LyingList(FAULTS[fault], chances, chances.choice([7, 20, 60, 137]))
            upstream.handler = lying.handle
            for _ in range(12):
                pages = [(chances.randint(1, 4), chances.choice([2, 5, 10, 20, 40])) for _ in range(3)]
                has_shown = has_shown_all or lying.has_shown_sizes
                variables = dict(zip("abcdef", [number for page in pages for number in page], strict=True))

                answer = await client.ask(PAGES, variables, token=f"token-{seed}")

                for key, (page, size) in zip("xyz", pages, strict=True):
                    plain = lying.body({"order": "desc", "page": str(page), "per_page": str(size)})
                    ids = [{"projectId": project["project_id"]} for project in plain["projects"]]
                    assert not has_shown or answer["data"][key]["projects"] == ids, (seed, page, size)


async def test_the_page_has_the_verdict_on_each_fault() -> None:
    documented = ROW.findall(PAGE.read_text(encoding="utf-8"))

    assert [await verdicts(fault) for fault in FAULTS] == documented
