"""A real nginx with the configuration of deploy/nginx, in front of gateways on any ports."""

import asyncio
import re
import shutil
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path

PROGRAM = shutil.which("nginx", path=f"{Path('/usr/sbin')}:{Path('/usr/local/sbin')}") or shutil.which(
    "nginx"
)
EXAMPLE = Path(__file__).parents[2] / "deploy/nginx/gallery-gateway.conf"
PATIENCE_SECONDS = 20

Configure = Callable[[int, Sequence[int]], str]

# What the example stands in: nginx's own file, all in one folder, and one line for each request.
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


class Proxy:
    """nginx under way."""

    def __init__(self, folder: Path, port: int) -> None:
        self._folder = folder
        self.url = f"http://127.0.0.1:{port}"

    @property
    def passed_on(self) -> int:
        """Requests for which more than one process was asked."""
        lines = (self._folder / "access.log").read_text(encoding="utf-8").splitlines()
        return sum("," in line for line in lines)


def configuration(port: int, gateways: Sequence[int]) -> str:
    """The example with other ports."""
    example = EXAMPLE.read_text(encoding="utf-8")
    (first, *_) = re.findall(r"^ *server [\d.:]+ .*;$", example, re.MULTILINE)
    servers = "\n".join(re.sub(r":\d+", f":{gateway}", first) for gateway in gateways)
    configured = re.sub(r"^( *server [\d.:]+ .*;\n)+", f"{servers}\n", example, flags=re.MULTILINE)
    return configured.replace("listen 8080;", f"listen 127.0.0.1:{port};")


@asynccontextmanager
async def nginx(
    folder: Path, port: int, gateways: Sequence[int], *, configured: Configure = configuration
) -> AsyncIterator[Proxy]:
    """Runs it on `port` until the block ends; `configured` makes its configuration out of the ports."""
    assert PROGRAM
    (folder / "nginx.conf").write_text(_MAIN.format(folder=folder), encoding="utf-8")
    (folder / "gallery-gateway.conf").write_text(configured(port, gateways), encoding="utf-8")
    command = (PROGRAM, "-e", f"{folder}/error.log", "-p", str(folder), "-c", f"{folder}/nginx.conf")
    process = await asyncio.create_subprocess_exec(*command)
    try:
        await _listens(port)
        yield Proxy(folder, port)
    finally:
        with suppress(ProcessLookupError):
            process.terminate()
        await process.wait()


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
    told = (await process.communicate())[0].decode()
    return told if process.returncode or "[warn]" in told else ""


async def _listens(port: int) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            with suppress(OSError):
                _reader, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.close()
                return
            await asyncio.sleep(0.01)
