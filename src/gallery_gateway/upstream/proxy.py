"""Tunnels to the REST API through an HTTP proxy."""

import asyncio
import re
import socket
from base64 import b64encode

import httpx

from gallery_gateway.upstream.transport import (
    ProxyCredentialsError,
    RawHeader,
    TunnelRefusedError,
    poll_of,
    port_of,
    request_head,
)


class Proxy:
    """An HTTP proxy that opens tunnels to the REST API (RFC 9110, section 9.3.6).

    Args:
        url: `http://host:port`, with user and password if the proxy wants them.
    """

    def __init__(self, url: str) -> None:
        parsed = httpx.URL(url)
        self.host, self.port = parsed.host, port_of(parsed)
        self._authorization: list[RawHeader] = []
        if parsed.userinfo:
            credentials = b64encode(f"{parsed.username}:{parsed.password}".encode())
            self._authorization.append((b"proxy-authorization", b"Basic " + credentials))

    async def open_tunnel(self, connected: socket.socket, url: httpx.URL) -> None:
        """Turn a connection to the proxy into one to the host and port of `url`.

        Raises:
            httpx.ProxyError: the proxy opens no tunnel.
        """
        loop = asyncio.get_running_loop()
        name = b"[%b]" % url.raw_host if b":" in url.raw_host else url.raw_host
        target = b"%b:%d" % (name, port_of(url))
        head = request_head(target, [(b"host", target), *self._authorization], method=b"CONNECT")
        try:
            await loop.sock_sendall(connected, head)
            status = await _tunnel_status(connected)
        except OSError as exc:
            raise httpx.ProxyError("The connection to the proxy failed.") from exc
        # tinyproxy sends 401 if the credentials are wrong, and 407 if there are none.
        if status in {401, 407}:
            raise ProxyCredentialsError("The proxy wants other credentials.")
        if 300 <= status < 500:
            raise TunnelRefusedError("The proxy does not allow this tunnel.")
        if status >= 500:
            raise httpx.ProxyError("The proxy cannot open the tunnel.")


# No honest proxy sends as much.
_MAX_PROXY_HEAD_BYTES = 16 * 1024
_HEAD_END = re.compile(rb"\n\r?\n")
_STATUS_LINE = re.compile(rb"HTTP/1\.[01] ([1-5]\d\d)[ \r\n]")


async def _tunnel_status(connected: socket.socket) -> int:
    """Return the final status of the proxy's response, which has no body if it is 2xx."""
    received = bytearray()
    end = status = 0
    while status < 200:
        begin, end = end, await _receive_head(connected, received, begin=end)
        line = _STATUS_LINE.match(received, begin)
        if line is None:
            raise httpx.ProxyError("The proxy's response is not HTTP.")
        status = int(line[1])
    # Behind the tunnel, neither TLS nor HTTP lets the server speak first.
    if status < 300 and (end < len(received) or poll_of(connected)()):
        raise httpx.ProxyError("The proxy sent more than its response.")
    return status


async def _receive_head(connected: socket.socket, received: bytearray, *, begin: int) -> int:
    """Receive at least the head that begins there; return where it ends."""
    loop = asyncio.get_running_loop()
    searched = begin
    while (end := _HEAD_END.search(received, max(begin, searched - 2))) is None:
        searched = len(received)
        if searched > _MAX_PROXY_HEAD_BYTES:
            raise httpx.ProxyError("The head of the proxy's response is too large.")
        part = await loop.sock_recv(connected, _MAX_PROXY_HEAD_BYTES)
        if not part:
            raise httpx.ProxyError("The proxy ended the connection.")
        received += part
    return end.end()
