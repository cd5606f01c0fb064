"""The canary sings: what it would find, if it came out, fails the run."""

from pathlib import Path

import pytest

from tests.canary import MARK, LeakError, look_at

pytest_plugins = ["pytester"]

LEAKS = {
    "standard output": f"print({MARK!r} + '-of-ada')",
    "standard error": f"import sys; print({MARK!r} + '-of-ada', file=sys.stderr)",
    "logs": f"import logging; logging.getLogger('any').warning('%s', {MARK!r} + '-of-ada')",
}


@pytest.mark.parametrize("told", [MARK, f"Bearer {MARK}-of-ada", f"\xff{MARK}".encode("latin-1")])
def test_a_token_that_is_looked_at_is_told_without_itself(told: str | bytes) -> None:
    with pytest.raises(LeakError) as caught:
        look_at("answers", told)

    assert MARK not in str(caught.value)


def test_what_a_passing_test_leaves_behind_is_looked_at(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    tests = [f"def test_{number}():\n    {line}\n" for number, line in enumerate(LEAKS.values())]
    pytester.makepyfile("\n".join([*tests, "def test_silent():\n    print('nothing')\n"]))
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[1]))

    result = pytester.runpytest_subprocess("-p", "no:schemathesis", "-p", "tests.canary")

    # What it shows of this run is a leak to the run that this is a part of.
    capsys.readouterr()
    result.assert_outcomes(passed=len(LEAKS) + 1, errors=len(LEAKS))
