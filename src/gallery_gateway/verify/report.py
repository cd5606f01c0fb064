"""The findings as a table for people, as JSON for machines, and as a file for bug reports."""

import json
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter

from gallery_gateway import __version__
from gallery_gateway.verify.probe import Finding, Probe, Results, Verdict, not_seen

# Grows when a member changes its meaning or goes away; new members do not count.
SHAPE_VERSION = 1

# Of a line of the table.
_WIDTH = 110

_WORST_FIRST = tuple(Verdict)


@dataclass(frozen=True, slots=True)
class Report:
    """What a run found.

    Args:
        probes: all of them, whether they ran or not.
        results: of those that ran.
        has_page: whether the access token got a page, without which nothing that matters was checked.
        incomplete: why not all that matters has a verdict; `None` after a complete run.
        calls: number of calls of the REST API.
    """

    probes: Sequence[Probe]
    results: Results
    has_page: bool
    is_interrupted: bool
    incomplete: str | None
    calls: int

    @property
    def status(self) -> int:
        """The exit status.

        0: all that matters holds. 1: clients notice a difference. 2: the run was incomplete.
        130: interrupted.
        """
        if self.is_interrupted:
            return 130
        if not self.has_page:
            return 2
        found = self._findings()
        if any(finding.verdict is Verdict.DIFFERS and probe.noticed for probe, finding in found):
            return 1
        return 0 if self.incomplete is None else 2

    @property
    def settings(self) -> list[str]:
        """The recommended settings, as lines of `.env`."""
        return list(
            dict.fromkeys(
                f"GALLERY_GATEWAY_{probe.setting}"
                for probe, finding in self._findings()
                if finding.verdict is Verdict.DIFFERS and probe.setting is not None
            )
        )

    def as_text(self) -> str:
        """Return a table in ASCII: a group below the other, the worst first."""
        lines = []
        for group, found in self._groups():
            lines.append(group)
            for name, finding, meaning in _rows(found):
                is_worst = finding.verdict is Verdict.DIFFERS
                verdict = finding.verdict.upper() if is_worst else finding.verdict
                lines += _wrapped(f"  {verdict:<8}  {name:<17}  ", f"{finding.evidence} {finding.local}")
                if is_worst:
                    lines += _wrapped(f"{'':28}-> ", meaning)
            lines.append("")
        if self.settings:
            lines += ["Recommended for .env:", *self.settings, ""]
        counts = ", ".join(f"{count} {verdict}" for verdict, count in self._counts().items())
        return "\n".join([*lines, f"{counts}; {self.calls} calls"])

    def as_json(self) -> str:
        return json.dumps(self._shape(with_local=True), indent=2)

    def as_evidence(self) -> str:
        """Return the same as JSON, without what is for the terminal alone."""
        return json.dumps(self._shape(with_local=False), indent=2)

    def _shape(self, *, with_local: bool) -> dict[str, object]:
        return {
            "version": SHAPE_VERSION,
            "gateway": __version__,
            "status": self.status,
            "incomplete": self.incomplete,
            "calls": self.calls,
            "counts": self._counts(),
            "settings": self.settings,
            "probes": [
                {
                    "id": probe.id,
                    "verdict": finding.verdict,
                    "evidence": finding.evidence,
                    "meaning": probe.meaning,
                    "noticed": probe.noticed,
                    **({"details": finding.details} if finding.details else {}),
                    **({"local": finding.local} if with_local else {}),
                }
                for probe, finding in self._findings()
            ],
        }

    def _findings(self) -> Iterator[tuple[Probe, Finding]]:
        reason = self.incomplete or "it did not run"
        for each in self.probes:
            yield each, self.results.get(each) or not_seen(reason)

    def _counts(self) -> dict[Verdict, int]:
        verdicts = [finding.verdict for _, finding in self._findings()]
        return {verdict: verdicts.count(verdict) for verdict in _WORST_FIRST}

    def _groups(self) -> list[tuple[str, list[tuple[Probe, Finding]]]]:
        """Return the findings by group; the worst group first, and so within each group."""
        groups: dict[str, list[tuple[Probe, Finding]]] = {}
        for probe, finding in self._findings():
            groups.setdefault(probe.group, []).append((probe, finding))
        for found in groups.values():
            found.sort(key=_rank)
        return sorted(groups.items(), key=lambda group: _rank(group[1][0]))


def _rows(found: list[tuple[Probe, Finding]]) -> Iterator[tuple[str, Finding, str]]:
    """Yield name, finding and meaning of the rows of a group; probes that one reason kept out share a row."""
    for finding, same in groupby(found, key=itemgetter(1)):
        probes = [probe for probe, _ in same]
        if finding.verdict is Verdict.NOT_SEEN and len(probes) > 1:
            yield f"{len(probes)} probes", finding, ""
            continue
        for probe in probes:
            yield probe.id.partition(".")[2], finding, probe.meaning


def _wrapped(beginning: str, text: str) -> list[str]:
    indent = " " * len(beginning)
    lines = textwrap.wrap(text, _WIDTH, initial_indent=beginning, subsequent_indent=indent)
    return lines or [beginning.rstrip()]


def _rank(found: tuple[Probe, Finding]) -> int:
    return _WORST_FIRST.index(found[1].verdict)
