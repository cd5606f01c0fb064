"""Real load balancers in front of gateways: nginx as in deploy/nginx, and HAProxy as in docs/scaling.md."""

import asyncio
import re
import shutil
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path

_ROOT = Path(__file__).parents[2]
_SBIN = f"{Path('/usr/sbin')}:{Path('/usr/local/sbin')}"
PROGRAM = shutil.which("nginx", path=_SBIN) or shutil.which("nginx")
HAPROXY = shutil.which("haproxy", path=_SBIN) or shutil.which("haproxy")
EXAMPLE = _ROOT / "deploy/nginx/gallery-gateway.conf"
PAGE = _ROOT / "docs/scaling.md"
HASH = "    hash $http_authorization consistent;\n"
PATIENCE_SECONDS = 20

Configure = Callable[[int, Sequence[int]], str]

# What the example is included in: nginx's own file, all in one folder, and one log line for each request.
_MAIN = """
daemon off;
master_process off;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{ worker_connections 1024; }}
http {{
    log_format tries '$status $upstream_addr';
    access_log {folder}/access.log tries;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    include {folder}/gallery-gateway.conf;
}}
"""

_HAPROXY_MAIN = """
defaults
    mode http
    option abortonclose
    timeout connect 1s
    timeout client 60s
    timeout server 60s

frontend clients
    bind 127.0.0.1:{port}
    default_backend gallery_gateway

"""


class Proxy:
    """A load balancer that runs."""

    def __init__(self, folder: Path, port: int) -> None:
        self._folder = folder
        self.url = f"http://127.0.0.1:{port}"

    @property
    def passed_on(self) -> int:
        """Requests for which nginx asked more than one process."""
        lines = (self._folder / "access.log").read_text(encoding="utf-8").splitlines()
        return sum("," in line for line in lines)


def configuration(port: int, gateways: Sequence[int]) -> str:
    """The example with other ports."""
    example = EXAMPLE.read_text(encoding="utf-8")
    (first, *_) = re.findall(r"^ *server [\d.:]+ .*;$", example, re.MULTILINE)
    servers = "\n".join(re.sub(r":\d+", f":{gateway}", first) for gateway in gateways)
    configured = re.sub(r"^( *server [\d.:]+ .*;\n)+", f"{servers}\n", example, flags=re.MULTILINE)
    return configured.replace("listen 8080;", f"listen 127.0.0.1:{port};")


def in_turn(port: int, gateways: Sequence[int]) -> str:
    """The example without hashing: the processes are asked in turn."""
    hashed = configuration(port, gateways)
    assert hashed.count(HASH) == 1
    return hashed.replace(HASH, "")


def haproxy_configuration(port: int, gateways: Sequence[int]) -> str:
    """The lines of docs/scaling.md with other ports, and a frontend."""
    page = PAGE.read_text(encoding="utf-8")
    (backend,) = re.findall(r"^```haproxy\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    servers = "".join(f"    server g{gateway} 127.0.0.1:{gateway} check\n" for gateway in gateways)
    configured, count = re.subn(r"^( *server \w+ [\d.:]+ check\n)+", servers, backend, flags=re.MULTILINE)
    assert count == 1
    return _HAPROXY_MAIN.format(port=port) + configured


@asynccontextmanager
async def nginx(
    folder: Path, port: int, gateways: Sequence[int], *, configured: Configure = configuration
) -> AsyncIterator[Proxy]:
    """Runs it on `port` until the block ends; `configured` makes its configuration out of the ports."""
    assert PROGRAM
    (folder / "nginx.conf").write_text(_MAIN.format(folder=folder), encoding="utf-8")
    (folder / "gallery-gateway.conf").write_text(configured(port, gateways), encoding="utf-8")
    command = (PROGRAM, "-e", f"{folder}/error.log", "-p", str(folder), "-c", f"{folder}/nginx.conf")
    async with _running(command, port):
        yield Proxy(folder, port)


@asynccontextmanager
async def haproxy(folder: Path, port: int, gateways: Sequence[int]) -> AsyncIterator[Proxy]:
    assert HAPROXY
    (folder / "haproxy.cfg").write_text(haproxy_configuration(port, gateways), encoding="utf-8")
    async with _running((HAPROXY, "-db", "-f", f"{folder}/haproxy.cfg"), port):
        yield Proxy(folder, port)


async def validate(folder: Path, text: str) -> str:
    """What `nginx -t` says of a configuration; empty if it is good."""
    assert PROGRAM
    (folder / "nginx.conf").write_text(_MAIN.format(folder=folder), encoding="utf-8")
    (folder / "gallery-gateway.conf").write_text(text, encoding="utf-8")
    process = await asyncio.create_subprocess_exec(
        *(PROGRAM, "-t", "-e", f"{folder}/error.log", "-p", str(folder), "-c", f"{folder}/nginx.conf"),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    printed = (await process.communicate())[0].decode()
    return printed if process.returncode or "[warn]" in printed else ""


@asynccontextmanager
async def _running(command: Sequence[str], port: int) -> AsyncIterator[None]:
    process = await asyncio.create_subprocess_exec(*command)
    try:
        await _listens(port)
        yield
    finally:
        with suppress(ProcessLookupError):
            process.terminate()
        await process.wait()


async def _listens(port: int) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            with suppress(OSError):
                _reader, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.close()
                return
            await asyncio.sleep(0.01)
