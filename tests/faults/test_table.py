"""The table of `docs/faults.md` is what happens over real sockets."""

import re
from pathlib import Path

from tests.faults.catalogue import NAMES
from tests.faults.table import WAITS, rows

PAGE = Path(__file__).parents[2] / "docs" / "faults.md"

ROW = re.compile(r"^\| `[^`\n]*` \|[^\n]*\|$", re.MULTILINE)

# Beyond what it waits for: what an answer may take on a busy machine before it counts as hung.
PATIENCE_SECONDS = 10


async def test_each_fault_does_what_the_page_says_and_leaves_the_gateway_healthy() -> None:
    documented = ROW.findall(PAGE.read_text(encoding="utf-8"))

    seen = [row async for row in rows()]

    assert [row.shown() for row in seen] == documented
    assert [row.fault for row in seen] == list(NAMES)
    assert [row.fault for row in seen if not row.is_healthy] == []
    for row in seen:
        least = WAITS[row.ended_by]
        # A timer may be early by the grain of the loop's clock.
        assert 0.95 * least <= row.seconds < least + PATIENCE_SECONDS, row
