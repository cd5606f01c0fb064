"""Faults by status: the endpoint says no, or that it cannot, or that something else should be asked."""

from collections.abc import Awaitable, Callable

from tests.faults.exchanges import Exchange

_INVALID = (
    b'{"error": "Invalid request",'
    b' "detail": [{"field": "per_page", "message": "too many", "position": "query"}]}'
)


def _status(status: str, *headers: str, body: bytes = b"") -> Callable[[Exchange], Awaitable[None]]:
    async def fault(exchange: Exchange) -> None:
        await exchange.answer(body, *headers, status=status)

    return fault


redirect = _status("302 Found", "Location: http://127.0.0.1:9/elsewhere")
unasked_304 = _status("304 Not Modified")
status_400 = _status("400 Bad Request", body=_INVALID)
status_401 = _status("401 Unauthorized")
status_401_html = _status("401 Unauthorized", body=b"<html>Sign in to the Wi-Fi</html>")
status_402 = _status("402 Payment Required", body=b'{"error": "No credits"}')
status_403 = _status("403 Forbidden", body=b'{"error": "Not yours"}')
status_403_challenge = _status("403 Forbidden", "cf-mitigated: challenge", body=b"<html>Just a moment</html>")
status_404 = _status("404 Not Found", body=b"<h1>Not found</h1>")
status_422 = _status("422 Unprocessable Content", body=_INVALID)
status_429 = _status("429 Too Many Requests")
status_429_retry_after = _status("429 Too Many Requests", "Retry-After: 1")
status_500 = _status("500 Internal Server Error", body=b"<h1>Traceback</h1>")
status_502 = _status("502 Bad Gateway", body=b"<h1>nginx</h1>")
status_503 = _status("503 Service Unavailable")
status_503_retry_after = _status("503 Service Unavailable", "Retry-After: 1")
status_504 = _status("504 Gateway Timeout")
