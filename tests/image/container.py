"""A strict container: read-only, user nobody, no capabilities, no new privileges, no /tmp."""

import json
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

from tests.image.programs import run

_CAPABILITY_SETS = ("bounding", "effective", "inheritable", "permitted", "ambient")

# The time for an end, a health check or a last line on a busy machine.
PATIENCE_SECONDS = 60


@dataclass(frozen=True)
class Image:
    """A mounted image: its files, and Docker's description of it."""

    files: Path
    described: dict[str, Any]


@dataclass
class Container:
    """A container of an image.

    Args:
        image: what it runs.
        folder: where it may keep what describes it.
        settings: by their names, without the prefix.
        user: user and group, instead of the image's own.
        has_network: the machine's own network, or none but loopback.
    """

    image: Image
    folder: Path
    settings: dict[str, str] = field(default_factory=dict)
    user: tuple[int, int] | None = None
    has_network: bool = True

    def __post_init__(self) -> None:
        self.name = f"gallery-gateway-{uuid4().hex[:12]}"

    @property
    def ids(self) -> tuple[int, int]:
        """The user and the group."""
        if self.user is not None:
            return self.user
        user, group = self.image.described["User"].split(":")
        return int(user), int(group)

    def _runc(self, *arguments: str) -> list[str]:
        return ["runc", "--root", str(self.folder / "runc"), *arguments]

    def _process(self, arguments: Sequence[str], **settings: str) -> dict[str, Any]:
        user, group = self.ids
        given = {f"GALLERY_GATEWAY_{name}": value for name, value in (self.settings | settings).items()}
        environment = dict(pair.split("=", 1) for pair in self.image.described["Env"]) | given
        return {
            "terminal": False,
            "user": {"uid": user, "gid": group},
            "args": list(arguments),
            "env": [f"{k}={v}" for k, v in environment.items()],
            "cwd": self.image.described["WorkingDir"],
            "capabilities": {name: [] for name in _CAPABILITY_SETS},
            "noNewPrivileges": True,
        }

    def _configuration(self, arguments: Sequence[str]) -> dict[str, Any]:
        """Return the configuration (OCI runtime specification, `config.md`)."""
        namespaces = ["pid", "mount", "ipc", "uts", *([] if self.has_network else ["network"])]
        return {
            "ociVersion": "1.0.2",
            "process": self._process(arguments),
            "root": {"path": str(self.image.files), "readonly": True},
            "mounts": [
                {"destination": "/proc", "type": "proc", "source": "proc"},
                {
                    "destination": "/dev",
                    "type": "tmpfs",
                    "source": "tmpfs",
                    "options": ["nosuid", "mode=755"],
                },
            ],
            "linux": {"namespaces": [{"type": name} for name in namespaces]},
        }

    @contextmanager
    def run(self, *arguments: str) -> Iterator["subprocess.Popen[str]"]:
        """Run the image's entry point, with `arguments` or its default ones, until the block ends."""
        given = list(arguments) or self.image.described["Cmd"]
        bundle = self.folder / self.name
        bundle.mkdir(parents=True)
        configuration = self._configuration([*self.image.described["Entrypoint"], *given])
        (bundle / "config.json").write_text(json.dumps(configuration), encoding="utf-8")
        command = self._runc("run", "--bundle", str(bundle), self.name)
        running = subprocess.Popen(  # noqa: S603  # our own words, with no shell in between
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        try:
            yield running
        finally:
            if running.poll() is None:
                self.signal("KILL")
                running.wait(PATIENCE_SECONDS)

    def signal(self, name: str) -> None:
        run(*self._runc("kill", self.name, name))

    def execute(self, *arguments: str, **settings: str) -> "subprocess.CompletedProcess[str]":
        """Run another program in the container."""
        file = self.folder / f"{self.name}-{uuid4().hex[:12]}.json"
        file.write_text(json.dumps(self._process(arguments, **settings)), encoding="utf-8")
        command = self._runc("exec", "--process", str(file), self.name)
        return subprocess.run(  # noqa: S603  # our own words
            command, capture_output=True, text=True, check=False, timeout=PATIENCE_SECONDS
        )

    def status(self) -> dict[str, str]:
        """Return the status of the first process in /proc."""
        state = run(*self._runc("state", self.name))
        text = Path(f"/proc/{json.loads(state)['pid']}/status").read_text(encoding="utf-8")
        return {name: value.strip() for name, _, value in (line.partition(":") for line in text.splitlines())}
