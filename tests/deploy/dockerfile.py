"""The Dockerfile's instructions, and what `.dockerignore` lets through to them."""

import fnmatch
import json
from pathlib import Path, PurePosixPath

ROOT = Path(__file__).parents[2]


def instructions() -> list[tuple[str, str]]:
    """Each instruction with its arguments, its lines joined, in order."""
    lines = (ROOT / "Dockerfile").read_text(encoding="utf-8").splitlines()
    text = "\n".join(line for line in lines if not line.startswith("#"))
    joined = text.replace("\\\n", " ").splitlines()
    return [(name, rest.strip()) for name, _, rest in (line.partition(" ") for line in joined if line)]


def last(name: str) -> str:
    """The arguments of the last instruction of this name: the one that holds for the image."""
    return [rest for found, rest in instructions() if found == name][-1]


def health_command() -> list[str]:
    command: list[str] = json.loads(last("HEALTHCHECK").partition("CMD ")[2])
    return command


def ignored() -> list[str]:
    return (ROOT / ".dockerignore").read_text(encoding="utf-8").split()


def is_sent(path: PurePosixPath, patterns: list[str]) -> bool:
    """Whether `.dockerignore` lets a file through: the last pattern that matches it, or a parent, decides."""
    sent = True
    for pattern in patterns:
        is_exception = pattern.startswith("!")
        if any(_matches(part, pattern.removeprefix("!")) for part in [path, *path.parents]):
            sent = is_exception
    return sent


def _matches(path: PurePosixPath, pattern: str) -> bool:
    if pattern.startswith("**/"):
        return fnmatch.fnmatch(path.name, pattern.removeprefix("**/"))
    return len(path.parts) == len(PurePosixPath(pattern).parts) and fnmatch.fnmatch(str(path), pattern)
