"""Signs links to pictures as S3 does, and checks them: no token, but a date, a life and a seal."""

import hashlib
import hmac
from collections.abc import Mapping
from datetime import UTC, datetime

LIFE_SECONDS = 900
_DATE_FORMAT = "%Y%m%dT%H%M%SZ"


class LinkError(Exception):
    """A link that was not signed here, or has had its time."""


class LinkSigner:
    """Signs paths, and checks what comes back.

    Args:
        seed: the key is derived from it; nothing here is secret.
    """

    def __init__(self, seed: int) -> None:
        self._key = hashlib.sha256(f"gallery demo {seed}".encode()).digest()

    def sign(self, path: str, *, base_url: str, date: str) -> str:
        """The whole link.

        Args:
            path: ASCII, without a leading slash.
            base_url: with a trailing slash.
            date: from `signing_date`.
        """
        seal = self._seal(path, date, str(LIFE_SECONDS))
        return f"{base_url}{path}?X-Amz-Date={date}&X-Amz-Expires={LIFE_SECONDS}&X-Amz-Signature={seal}"

    def check(self, path: str, query: Mapping[str, str], *, now: float) -> int:
        """The whole seconds that the link has left.

        Raises:
            LinkError: the signature is not ours, or the link has expired.
        """
        date, life = query.get("X-Amz-Date", ""), query.get("X-Amz-Expires", "")
        seal = query.get("X-Amz-Signature", "")
        if not hmac.compare_digest(self._seal(path, date, life).encode(), seal.encode()):
            raise LinkError("The signature does not match.")
        signed = datetime.strptime(date, _DATE_FORMAT).replace(tzinfo=UTC).timestamp()
        seconds_left = signed + int(life) - now
        if seconds_left <= 0:
            raise LinkError("Request has expired.")
        return int(seconds_left)

    def _seal(self, path: str, date: str, life: str) -> str:
        return hmac.digest(self._key, f"{path}\n{date}\n{life}".encode(), "sha256").hex()


def signing_date(now: float) -> str:
    """The moment rounded down to the minute, so that answers within it are the same."""
    return datetime.fromtimestamp(now // 60 * 60, UTC).strftime(_DATE_FORMAT)
