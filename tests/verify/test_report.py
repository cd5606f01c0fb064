"""The table, the JSON, the recommended settings and the exit status."""

import json
from dataclasses import replace
from typing import Any

import pytest

from gallery_gateway import __version__
from gallery_gateway.settings import ENVIRONMENT_PREFIX, Settings
from gallery_gateway.verify.command import PROBES
from gallery_gateway.verify.probe import Finding, Probe, differs, holds, not_seen, probe
from gallery_gateway.verify.report import Report
from gallery_gateway.verify.session import Session

Row = tuple[Probe, Finding]


def row(name: str, finding: Finding, **options: Any) -> Row:
    async def run(_session: Session) -> Finding:
        return finding

    return probe(name, f"Is {name} so?", meaning=f"{name} is not so.", **options)(run), finding


def report(*rows: Row, unasked: tuple[Row, ...] = (), **options: Any) -> Report:
    given = {"has_page": True, "is_interrupted": False, "incomplete": None, "calls": 9, **options}
    return Report([probe for probe, _ in (*rows, *unasked)], dict(rows), **given)


def test_the_table_has_the_worst_groups_and_probes_first() -> None:
    rows = [
        row("a.one", holds("1")),
        row("b.one", holds("2")),
        row("b.two", not_seen("3")),
        row("c.one", holds("4")),
        row("c.two", differs("5", local="here"), setting="NARROWING=false"),
    ]

    assert report(*rows).as_text().splitlines() == [
        "c",
        "  DIFFERS   two                5 here",
        "                            -> c.two is not so.",
        "  holds     one                4",
        "",
        "b",
        "  not seen  two                3",
        "  holds     one                2",
        "",
        "a",
        "  holds     one                1",
        "",
        "Recommended for .env:",
        "GALLERY_GATEWAY_NARROWING=false",
        "",
        "1 differs, 1 not seen, 3 holds; 9 calls",
    ]


def test_probes_that_did_not_run_share_a_row() -> None:
    unasked = (row("a.two", holds("")), row("a.three", holds("")))

    text = report(row("a.one", holds("1")), unasked=unasked, incomplete="the end").as_text()

    assert text.splitlines()[1:3] == [
        "  not seen  2 probes           the end",
        "  holds     one                1",
    ]


def test_long_evidence_is_wrapped_below_itself() -> None:
    lines = report(row("a.one", holds("word " * 40))).as_text().splitlines()

    assert [line.index("word") for line in lines[1:4]] == [31, 31, 31]
    assert max(map(len, lines)) <= 110


def test_a_finding_without_evidence_has_a_row() -> None:
    assert report(row("a.one", holds(""))).as_text().splitlines()[1] == "  holds     one"


def test_a_setting_is_recommended_once_and_only_for_a_difference() -> None:
    rows = [
        row("a.one", differs(""), setting="NARROWING=false"),
        row("a.two", differs(""), setting="NARROWING=false"),
        row("a.three", holds(""), setting="CACHE_TTL_SECONDS=0"),
        row("a.four", not_seen(""), setting="CACHE_TTL_SECONDS=1"),
        row("a.five", differs("")),
    ]

    assert report(*rows).settings == ["GALLERY_GATEWAY_NARROWING=false"]


DIFFERENCE = row("a.one", differs(""))
NOTICED = row("a.two", differs(""), noticed=True)


@pytest.mark.parametrize(
    ("rows", "options", "status"),
    [
        ([row("a.one", holds(""), noticed=True)], {}, 0),
        ([row("a.one", not_seen(""), noticed=True)], {}, 0),
        ([DIFFERENCE], {}, 0),
        ([NOTICED], {}, 1),
        ([DIFFERENCE], {"incomplete": "the end"}, 2),
        ([NOTICED], {"incomplete": "the end"}, 1),
        ([NOTICED], {"has_page": False, "incomplete": "no token"}, 2),
        ([NOTICED], {"has_page": False}, 2),
        ([NOTICED], {"is_interrupted": True, "incomplete": "it was interrupted"}, 130),
    ],
)
def test_the_exit_status_says_whether_clients_notice_a_difference(
    rows: list[Row], options: dict[str, Any], status: int
) -> None:
    assert report(*rows, **options).status == status


def test_the_json_has_its_documented_shape() -> None:
    found = replace(differs("5", local="here"), details=("six",))
    rows = [row("a.one", found, setting="NARROWING=false", noticed=True)]
    made = report(*rows, unasked=(row("a.two", holds("")),), incomplete="the end")

    expected = {
        "version": 1,
        "gateway": __version__,
        "status": 1,
        "incomplete": "the end",
        "calls": 9,
        "counts": {"differs": 1, "not seen": 1, "holds": 0},
        "settings": ["GALLERY_GATEWAY_NARROWING=false"],
        "probes": [
            {
                "id": "a.one",
                "verdict": "differs",
                "evidence": "5",
                "meaning": "a.one is not so.",
                "noticed": True,
                "details": ["six"],
            },
            {
                "id": "a.two",
                "verdict": "not seen",
                "evidence": "the end",
                "meaning": "a.two is not so.",
                "noticed": False,
            },
        ],
    }
    assert json.loads(made.as_evidence()) == expected
    for each, local in zip(expected["probes"], ["here", ""], strict=True):  # type: ignore[call-overload]
        each["local"] = local
    assert json.loads(made.as_json()) == expected


@pytest.mark.parametrize("setting", sorted({each.setting for each in PROBES if each.setting is not None}))
def test_a_recommended_setting_can_be_set_and_is_not_the_default(
    setting: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    name, _, value = setting.partition("=")
    monkeypatch.setenv(f"{ENVIRONMENT_PREFIX}{name}", value)

    value_read = getattr(Settings.read(_env_file=None), name.lower())
    assert value_read != Settings.model_fields[name.lower()].default
