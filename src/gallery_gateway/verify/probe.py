"""What a probe is, and how probes run: one after another, until the session ends."""

import logging
import traceback
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from gallery_gateway.verify.session import NotSeenError, Session

_logger = logging.getLogger(__name__)


class DiffersError(Exception):
    """A probe ends with the verdict `differs`; the message is the evidence."""


class Verdict(StrEnum):
    """Whether the REST API is as this gateway expects it, in the order of a report: worst first."""

    DIFFERS = "differs"
    NOT_SEEN = "not seen"
    HOLDS = "holds"


@dataclass(frozen=True, slots=True)
class Finding:
    """What a probe found.

    Args:
        evidence: one line of shapes, counts, statuses and names of the contract. It never holds a value,
            name, link, id, header value or token that the API sent: it is fit for a bug report.
        local: more for the terminal alone, such as the issuer of a certificate; it is saved nowhere.
        details: further lines of evidence, for the JSON.
    """

    verdict: Verdict
    evidence: str
    local: str = ""
    details: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """One question to the REST API.

    Args:
        id: `group.name`; it never changes.
        question: in one line.
        meaning: what follows for this gateway if the answer differs, in one line.
        setting: the line of `.env` that is recommended then, without its prefix, such as `NARROWING=false`.
        noticed: whether clients notice the difference, so that the exit status is 1.
        run: answers it. A `NotSeenError` that it raises becomes the verdict `not seen`.
    """

    id: str
    question: str
    meaning: str
    setting: str | None
    noticed: bool
    run: Callable[[Session], Awaitable[Finding]]

    @property
    def group(self) -> str:
        return self.id.partition(".")[0]


def probe(
    id: str,  # noqa: A002  # the name of the attribute
    question: str,
    *,
    meaning: str,
    setting: str | None = None,
    noticed: bool = False,
) -> Callable[[Callable[[Session], Awaitable[Finding]]], Probe]:
    """Make a probe of an async function; the arguments are those of `Probe`."""
    return lambda run: Probe(
        id=id, question=question, meaning=meaning, setting=setting, noticed=noticed, run=run
    )


def holds(evidence: str, *, local: str = "") -> Finding:
    return Finding(Verdict.HOLDS, evidence, local)


def differs(evidence: str, *, local: str = "") -> Finding:
    return Finding(Verdict.DIFFERS, evidence, local)


def not_seen(reason: str) -> Finding:
    return Finding(Verdict.NOT_SEEN, reason)


Results = dict[Probe, Finding]


async def run_probes(
    probes: Sequence[Probe], session: Session, results: Results, *, progress: Callable[[Probe], None]
) -> None:
    """Run the probes in their order and add each finding to `results`, which is complete at any moment."""
    for each in probes:
        progress(each)
        try:
            results[each] = await each.run(session)
        except NotSeenError as exc:
            results[each] = not_seen(str(exc))
        except DiffersError as exc:
            results[each] = differs(str(exc))
        # The boundary of a probe: a fault in one must not lose what the others found.
        except Exception as exc:  # noqa: BLE001  # logged below
            # Without the message, which may hold what the API sent.
            where = "".join(traceback.format_tb(exc.__traceback__))
            _logger.debug("The probe %s failed with %s at:\n%s", each.id, type(exc).__name__, where)
            results[each] = not_seen(f"the probe itself failed ({type(exc).__name__}); please report it")
