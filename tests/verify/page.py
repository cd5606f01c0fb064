"""The parts of docs/verify.md that follow from the code; `python -m tests.verify.page` writes them."""

import contextlib
import io
import os
import re
from collections.abc import Sequence
from pathlib import Path

from gallery_gateway.cli import main
from gallery_gateway.demo.server import serve_in_thread
from gallery_gateway.verify.command import PROBES
from gallery_gateway.verify.probe import Probe
from gallery_gateway.verify.session import Token
from tests.verify.opening import DEMO_TOKENS, still_upstream

PAGE = Path(__file__).parents[2] / "docs" / "verify.md"


def with_blocks(page: str, *, output: str, probes: Sequence[Probe]) -> str:
    """Return the page with this output of the command, and with a table of these probes."""
    page = re.sub(r"(?<=```text\n).+?(?=```)", lambda _: output, page, flags=re.DOTALL)
    rows = "".join(f"{_row(probe)}\n" for probe in sorted(probes, key=lambda probe: probe.group))
    return re.sub(r"(?<=\|---\|---\|---\|\n)(\| `[a-z]+\.[a-z_]+` .+\n)+", lambda _: rows, page)


def without_numbers(text: str) -> str:
    return re.sub(r"\d[\d,.]*", "0", text)


def _row(probe: Probe) -> str:
    meaning = f"{probe.meaning} `{probe.setting}`" if probe.setting else probe.meaning
    return f"| `{probe.id}` | {probe.question} | {'**Clients notice.** ' if probe.noticed else ''}{meaning} |"


def _write() -> None:
    os.environ["GALLERY_GATEWAY_VERIFY_TOKEN"] = DEMO_TOKENS[Token.OURS]
    os.environ["GALLERY_GATEWAY_VERIFY_OTHER_TOKEN"] = DEMO_TOKENS[Token.OTHER]
    printed = io.StringIO()
    with serve_in_thread(still_upstream()) as url, contextlib.redirect_stdout(printed):
        main(["verify", "--url", url, "--links"])
    # The stand-in is in another century.
    output = re.sub(r"expires in [\d,]+ s", "expires in 871 s", printed.getvalue())
    page = PAGE.read_text(encoding="utf-8")
    PAGE.write_text(with_blocks(page, output=output, probes=PROBES), encoding="utf-8")


if __name__ == "__main__":
    _write()
