"""axe-core's rules, run inside a page."""

from pathlib import Path
from typing import Any

from playwright.sync_api import Page

from tests.npm import install

HERE = Path(__file__).parent
_RUN = """axe.run(document, { preload: false, resultTypes: ['violations'] }).then(({ violations }) =>
  violations
    .filter(({ impact }) => ['serious', 'critical'].includes(impact))
    .flatMap(({ id, nodes }) => nodes.map(({ target, any }) => `${id}: ${target}: ${any[0]?.message}`)))"""


def serious_violations(page: Page) -> list[str]:
    """What violates a rule with a serious or critical impact: the rule, the element and the reason."""
    install(HERE)
    # Not through a script element, which the policy of our pages forbids.
    page.evaluate((HERE / "node_modules" / "axe-core" / "axe.min.js").read_text(encoding="utf-8"))
    found: Any = page.evaluate(_RUN)
    assert isinstance(found, list)
    return found
