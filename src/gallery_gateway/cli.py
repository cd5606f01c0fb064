"""The command line: `serve`, `demo`, `schema`, `explain` and `verify`."""

import argparse
import asyncio
import contextlib
import errno
import json
import logging
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import uvicorn
from fastapi import FastAPI
from pydantic import HttpUrl
from uvicorn.supervisors import Multiprocess

from gallery_gateway import __version__
from gallery_gateway.app import create_app
from gallery_gateway.app.telemetry import check_metrics_ports, metrics_ports
from gallery_gateway.demo.callers import CALLERS
from gallery_gateway.demo.frontend import frontend_routes
from gallery_gateway.demo.server import create_upstream, serve_in_thread
from gallery_gateway.edge.uvicorn_protocol import UnsupportedServerError, WireProtocol, check_uvicorn
from gallery_gateway.explain import ExplainError, explain_manifest, explain_operation
from gallery_gateway.schema.build import build_schema
from gallery_gateway.settings import ENVIRONMENT_PREFIX, Settings, SettingsError
from gallery_gateway.telemetry import logs

_logger = logging.getLogger(__name__)

# Windows has none.
_SIGPIPE = 13

# As uvicorn's own.
_BACKLOG = 2048

_EXAMPLE = """{
  gallery(perPage: 2, maxImagesPerProject: 1) {
    pagination { total }
    projects { projectName totalImages pendingImages images { status output { thumbnail } } }
  }
}"""


class CommandError(Exception):
    """A command cannot start; the message says why, after the exit status."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; return the exit status.

    1: the operation has errors, a document exceeds its budget, a port is taken, or clients notice what
    `verify` found. 2: an option, a setting or a file is wrong, or `verify` could not check everything. 130:
    interrupted. 141: nobody reads the output.
    """
    arguments = _parser().parse_args(argv)
    command: Callable[[argparse.Namespace], int] = arguments.command
    # uvicorn raises the signal that ended it once more; a requested end is no failure.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        status = command(arguments)
        sys.stdout.flush()
    except CommandError as exc:
        status, message = exc.args
        print(message, file=sys.stderr)
    except (SettingsError, UnsupportedServerError, ExplainError) as exc:
        print(exc, file=sys.stderr)
        return 2
    except BrokenPipeError:
        # The reader, such as `head`, has enough. Python flushes the stream once more at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        # As a shell reports a process that SIGPIPE ended.
        return 128 + _SIGPIPE
    except KeyboardInterrupt:
        return 130
    return status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="gallery-gateway", description="A GraphQL gateway over PiktID's gallery REST API."
    )
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    serve = commands.add_parser(
        "serve",
        help="serve the gateway in front of the real REST API",
        description="Serve the gateway. Settings come from GALLERY_GATEWAY_* variables and from .env.",
    )
    serve.add_argument("--workers", type=int, help="number of processes")
    serve.add_argument(
        "--uds", metavar="PATH", type=Path, help="Unix socket to listen on, without host and port"
    )
    serve.set_defaults(command=_serve)

    demo = commands.add_parser(
        "demo",
        help="serve the gateway in front of a built-in stand-in with made-up projects",
        description="Start a stand-in for the REST API, and the gateway in front of it.",
    )
    for command in (serve, demo):
        command.add_argument("--host", help="address to listen on")
        command.add_argument("--port", type=int, help="port of the gateway; 0 takes a free one")
    demo.add_argument(
        "--upstream-port", type=_integer(0, 65535), default=0, help="port of the stand-in (a free one)"
    )
    kind = demo.add_mutually_exclusive_group()
    kind.add_argument(
        "--once",
        nargs="?",
        const="",
        metavar="FILE",
        help="run the operation in FILE (or an example), print the response, and exit",
    )
    kind.add_argument("--upstream-only", action="store_true", help="serve the stand-in alone")
    demo.set_defaults(command=_demo)

    schema = commands.add_parser("schema", help="print the schema as SDL")
    schema.add_argument("--api", action="store_true", help="without what is for federation only")
    schema.set_defaults(command=_schema)

    explain = commands.add_parser(
        "explain",
        help="show the upstream calls that an operation makes, or price trusted documents",
        description="Show the upstream calls of the operation in FILE and their reasons, or the calls of each"
        " trusted document at its worst variables. Nothing is sent.",
    )
    source = explain.add_mutually_exclusive_group(required=True)
    source.add_argument("file", metavar="FILE", nargs="?", type=Path, help="a document")
    source.add_argument("--manifest", metavar="FILE", type=Path, help="trusted documents")
    explain.add_argument("--variables", metavar="JSON|FILE", help="variables of the operation")
    explain.add_argument("--operation", metavar="NAME", help="which one, if FILE has several")
    explain.add_argument(
        "--max-calls", metavar="N", type=_integer(0), help="fail if a trusted document needs more"
    )
    explain.add_argument("--max-images", metavar="N", type=_integer(0), help="fail if its calls request more")
    explain.add_argument("--json", action="store_true", help="print JSON")
    explain.set_defaults(command=_explain)

    check = commands.add_parser(
        "verify",
        help="check what the documentation of the REST API leaves open",
        description="Make at most 60 small calls of the REST API, and report where it differs from what the"
        " gateway expects. The access token comes from GALLERY_GATEWAY_VERIFY_TOKEN or a prompt; a second"
        " one may come from GALLERY_GATEWAY_VERIFY_OTHER_TOKEN.",
    )
    check.add_argument(
        "--url",
        dest="upstream_url",
        metavar="URL",
        help="base URL of the REST API, instead of the setting UPSTREAM_URL",
    )
    check.add_argument("--json", action="store_true", help="print the report as JSON")
    check.add_argument(
        "--save", metavar="FILE", type=Path, help="write shapes, counts and verdicts, and nothing else"
    )
    check.add_argument("--max-calls", metavar="N", type=_integer(1, 60), default=60, help="1 to 60 (60)")
    check.add_argument("--links", action="store_true", help="open one link to a picture, without a token")
    check.set_defaults(command=_verify)
    return parser


def _integer(minimum: int, maximum: int | None = None) -> Callable[[str], int]:
    """Return a parser of integers within bounds."""

    # argparse writes the name of this function into its messages.
    def integer(text: str) -> int:
        number = int(text)
        if number < minimum or (maximum is not None and number > maximum):
            bounds = f"{minimum} or more" if maximum is None else f"from {minimum} to {maximum}"
            raise argparse.ArgumentTypeError(f"must be {bounds}")
        return number

    return integer


def _serve(arguments: argparse.Namespace) -> int:
    overrides = _overrides(arguments, "host", "port", "workers")
    settings = _settings(arguments, "host", "port", "workers")
    # Several workers build their own, but uvicorn would restart one that fails to start, without end.
    app: FastAPI | str = create_app(settings, owns_process=True)
    if settings.workers > 1:
        app = "gallery_gateway.app:create_served_app"
    with _reported("The metrics cannot be served", status=1):
        check_metrics_ports(settings)
    uds: Path | None = arguments.uds
    listeners = _listen(settings) if uds is None else [_listen_at(uds)]
    # The workers read the settings themselves.
    os.environ.update({f"{ENVIRONMENT_PREFIX}{name.upper()}": str(overrides[name]) for name in overrides})
    config = uvicorn.Config(
        app, factory=isinstance(app, str), workers=settings.workers, **_server_options(settings)
    )
    start_line = f"Gallery gateway running on {uds}. Press Ctrl-C to stop."
    if uds is None:
        start_line = _start_line(settings, _url(settings.host, listeners[0]))
    try:
        _run(config, listeners, partial(_logger.info, start_line))
    finally:
        if uds is not None:
            uds.unlink(missing_ok=True)
    return 0


def _run(config: uvicorn.Config, listeners: list[socket.socket], announce: Callable[[], None]) -> None:
    """Announce the gateway and serve it until a signal, which may come as soon as it is announced."""
    # uvicorn raises the signal again at its end.
    with contextlib.suppress(KeyboardInterrupt):
        if config.workers > 1:
            announce()
            Multiprocess(config, listeners).run()
        else:
            server = uvicorn.Server(config)
            # The server itself handles signals only from its first step on, which is later.
            with server.capture_signals():
                announce()
                server.run(sockets=listeners)


def _demo(arguments: argparse.Namespace) -> int:
    settings = _settings(arguments, "host", "port")
    if arguments.upstream_only and _overrides(arguments, "host", "port"):
        raise CommandError(2, "--host and --port go with a gateway; use --upstream-port.")
    if arguments.once is not None:
        settings = settings.model_copy(update={"log_level": "warning"})
    logs.configure(settings.log_level, settings.log_format)
    document = _EXAMPLE
    if arguments.once:
        with _reported(f"{arguments.once} cannot be read"):
            document = Path(arguments.once).read_text(encoding="utf-8")
    with contextlib.ExitStack() as stack:
        with _reported("The stand-in cannot listen", status=1):
            stand_in = serve_in_thread(create_upstream(), port=arguments.upstream_port)
            upstream_url = stack.enter_context(stand_in)
        if arguments.upstream_only:
            return _wait(upstream_url)
        settings = settings.model_copy(update=_demo_settings(settings, upstream_url))
        if arguments.once is not None:
            return _run_once(settings, document)
        return _serve_demo(settings, upstream_url)


@contextlib.contextmanager
def _reported(failure: str, *, status: int = 2) -> Iterator[None]:
    """Raise `CommandError` for an error of the system."""
    try:
        yield
    except (OSError, UnicodeError) as exc:
        raise CommandError(status, f"{failure}: {exc}") from exc


def _listen(settings: Settings) -> list[socket.socket]:
    """Listen on each address of the host: `localhost` often has two.

    The command binds the sockets itself, so that it can report a port that is taken, and name a free one.
    Several workers listen once they have started.
    """
    host, port, listeners, unavailable = settings.host, settings.port, list[socket.socket](), None
    if port in metrics_ports(settings):
        raise SettingsError(
            f"{ENVIRONMENT_PREFIX}METRICS_PORT: its range includes {port}, the gateway's port"
        )
    with _reported(f"The gateway cannot listen on {host}, port {port}", status=1):
        for family, kind, _, _, address in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM):
            listener = socket.socket(family, kind)
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            # Connections inherit the option; asyncio sets it only on sockets that it opens itself.
            listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if family == socket.AF_INET6:
                listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, int(host != "::"))
            try:
                listener.bind((address[0], port, *address[2:]))
            except OSError as exc:
                listener.close()
                # A machine without IPv6 may still have an address of IPv6 for `localhost`.
                if exc.errno != errno.EADDRNOTAVAIL:
                    raise
                unavailable = exc
                continue
            if settings.workers == 1:
                listener.listen(_BACKLOG)
            port = listener.getsockname()[1]
            listeners.append(listener)
        if unavailable is not None and not listeners:
            raise unavailable
    return listeners


def _listen_at(path: Path) -> socket.socket:
    """Listen on a Unix socket for all users; the folder decides who reaches it.

    A socket that a dead process has left is replaced.
    """
    with _reported(f"The gateway cannot listen on {path}", status=1):
        if path.is_socket():
            with contextlib.suppress(ConnectionRefusedError), socket.socket(socket.AF_UNIX) as other:
                other.connect(str(path))
                raise OSError(errno.EADDRINUSE, os.strerror(errno.EADDRINUSE))
            path.unlink()
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(str(path))
        path.chmod(0o666)
        listener.listen(_BACKLOG)
    return listener


def _url(host: str, listener: socket.socket) -> str:
    return f"http://{f'[{host}]' if ':' in host else host}:{listener.getsockname()[1]}"


def _start_line(settings: Settings, url: str) -> str:
    pages = [f"GraphQL: {url}/graphql"]
    if settings.graphiql:
        pages.append(f"GraphiQL: {url}{settings.graphiql_path}")
    if settings.metrics_port:
        pages.append(f"metrics: port {settings.metrics_port}")
    return f"Gallery gateway running on {url} ({', '.join(pages)}). Press Ctrl-C to stop."


def _schema(arguments: argparse.Namespace) -> int:
    schema = build_schema()
    print(schema.api_sdl() if arguments.api else schema.sdl, end="")
    return 0


def _explain(arguments: argparse.Namespace) -> int:
    budget = _overrides(arguments, "max_calls", "max_images")
    given = _overrides(arguments, "operation", "variables")
    if arguments.manifest is None and not budget:
        text, problems = explain_operation(arguments.file, **given, as_json=arguments.json)
    elif arguments.manifest is not None and not given:
        text, problems = explain_manifest(arguments.manifest, **budget, as_json=arguments.json)
    else:
        message = "--variables and --operation go with FILE, --max-calls and --max-images with --manifest."
        raise ExplainError(message)
    print(text, flush=True)
    for problem in problems:
        print(problem, file=sys.stderr)
    return 1 if problems else 0


def _verify(arguments: argparse.Namespace) -> int:
    from gallery_gateway.verify.command import verify  # noqa: PLC0415  # the processes of `serve` have no use for it

    save: Path | None = arguments.save
    settings = _settings(arguments, "upstream_url")
    if save is not None:
        # Before any call: what a run finds must not be lost.
        with _reported(f"{save} cannot be written"):
            is_new = not save.exists()
            save.open("a").close()
            if is_new:
                save.unlink()
    report = verify(settings, max_calls=arguments.max_calls, with_links=arguments.links)
    try:
        # Before the report is printed: the reader may have enough.
        if save is not None:
            with _reported(f"{save} cannot be written"):
                save.write_text(report.as_evidence() + "\n", encoding="utf-8")
    finally:
        print(report.as_json() if arguments.json else report.as_text())
    if report.incomplete is not None:
        print(f"Not everything was verified: {report.incomplete}.", file=sys.stderr)
    return report.status


def _demo_settings(settings: Settings, upstream_url: str) -> dict[str, Any]:
    changes = {"upstream_url": HttpUrl(upstream_url), "report_always": True}
    if "cache_unfinished_ttl_seconds" not in settings.model_fields_set:
        # The stand-in costs nothing, so the page shows progress as soon as it is made.
        changes["cache_unfinished_ttl_seconds"] = 1.0
    return changes


def _serve_demo(settings: Settings, upstream_url: str) -> int:
    listeners = _listen(settings)
    url = _url(settings.host, listeners[0])
    app = create_app(settings, explorer_token=CALLERS[0].token, owns_process=True)
    explorer_path = settings.graphiql_path if settings.graphiql else None
    app.router.routes.extend(frontend_routes(pictures_origin=upstream_url, explorer_path=explorer_path))
    config = uvicorn.Config(app, **_server_options(settings))
    _run(config, listeners, partial(print, _banner(f"{url}/graphql", upstream_url), flush=True))
    return 0


def _wait(upstream_url: str) -> int:
    with contextlib.suppress(KeyboardInterrupt):
        print(f"The made-up REST API: {upstream_url}/gallery/by-project\n{_tokens()}", flush=True)
        threading.Event().wait()
    return 0


def _run_once(settings: Settings, document: str) -> int:
    response = asyncio.run(_post(settings, document))
    print(json.dumps(response, indent=2, ensure_ascii=False))
    return 1 if "errors" in response else 0


async def _post(settings: Settings, document: str) -> Any:
    app = create_app(settings)
    headers = {"authorization": f"Bearer {CALLERS[0].token}"}
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://gateway") as client,
    ):
        return (await client.post("/graphql", json={"query": document}, headers=headers)).json()


def _settings(arguments: argparse.Namespace, *names: str) -> Settings:
    """Read the settings; options, by the names of settings, win. Errors name a wrong option as such.

    Raises:
        SettingsError: a setting or an option is wrong.
    """
    overrides = _overrides(arguments, *names)
    try:
        return Settings.read(**overrides)
    except SettingsError as exc:
        message = str(exc)
        for name in overrides:
            option = name.removeprefix("upstream_")
            message = message.replace(f"{ENVIRONMENT_PREFIX}{name.upper()}: ", f"--{option}: ")
        raise SettingsError(message) from None


def _overrides(arguments: argparse.Namespace, *names: str) -> dict[str, Any]:
    return {name: value for name in names if (value := getattr(arguments, name)) is not None}


def _server_options(settings: Settings) -> dict[str, Any]:
    check_uvicorn()
    return {
        # The app configures logging; the line of each operation replaces the access log.
        "log_config": None,
        "access_log": False,
        # The gateway does not use the client's address.
        "proxy_headers": False,
        "server_header": False,
        "loop": "gallery_gateway.edge.event_loop:new_event_loop",
        "http": partial(WireProtocol, timeout_seconds=settings.request_timeout_seconds),
        "ws": "none",
        # A worker answers no health check while it imports the app, which is slow on a busy machine.
        "timeout_worker_healthcheck": 30,
        "timeout_keep_alive": settings.keep_alive_seconds,
        "timeout_graceful_shutdown": settings.shutdown_grace_seconds,
    }


def _banner(url: str, upstream_url: str) -> str:
    example = "{ gallery(perPage: 3) { projects { projectName totalImages pendingImages } } }"
    return f"""
The gateway: {url}   (GraphiQL in a browser)
A gallery page on top of it: {url.removesuffix("graphql")}
The made-up REST API behind it: {upstream_url}/gallery/by-project
{_tokens()}
Paste this:

curl {url} -H 'Authorization: Bearer {CALLERS[0].token}' \\
  -H 'Content-Type: application/json' -d '{json.dumps({"query": example})}'

Press Ctrl-C to stop.
"""


def _tokens() -> str:
    return "Made-up callers:\n" + "\n".join(f"  {c.name}: Bearer {c.token}" for c in CALLERS)
