"""Signed links to pictures, like those of S3: a date, a lifetime and a signature instead of a token."""

import hashlib
import hmac
from collections.abc import Mapping
from datetime import UTC, datetime

LIFETIME_SECONDS = 900
_DATE_FORMAT = "%Y%m%dT%H%M%SZ"


class LinkError(Exception):
    """A link with a wrong signature, or an expired one."""


class LinkSigner:
    """Signs and checks links.

    Args:
        seed: the key is derived from it, so that links survive a restart; it is no secret.
    """

    def __init__(self, seed: int) -> None:
        self._key = hashlib.sha256(f"gallery demo {seed}".encode()).digest()

    def sign(self, path: str, *, base_url: str, now: float) -> str:
        """Return the link to `path`; links signed within the same minute are equal.

        Args:
            path: ASCII, without a leading slash.
            base_url: with a trailing slash.
            now: seconds since 1970.
        """
        date = datetime.fromtimestamp(now // 60 * 60, UTC).strftime(_DATE_FORMAT)
        signature = self._signature(path, date, str(LIFETIME_SECONDS))
        query = f"X-Amz-Date={date}&X-Amz-Expires={LIFETIME_SECONDS}&X-Amz-Signature={signature}"
        return f"{base_url}{path}?{query}"

    def check(self, path: str, query: Mapping[str, str], *, now: float) -> int:
        """Return the remaining lifetime of a link in seconds.

        Raises:
            LinkError: the signature is wrong, or the link has expired.
        """
        date, lifetime = query.get("X-Amz-Date", ""), query.get("X-Amz-Expires", "")
        signature = query.get("X-Amz-Signature", "")
        if not hmac.compare_digest(self._signature(path, date, lifetime).encode(), signature.encode()):
            raise LinkError("The signature does not match.")
        signed = datetime.strptime(date, _DATE_FORMAT).replace(tzinfo=UTC).timestamp()
        remaining_seconds = signed + int(lifetime) - now
        if remaining_seconds <= 0:
            raise LinkError("Request has expired.")
        return int(remaining_seconds)

    def _signature(self, path: str, date: str, lifetime: str) -> str:
        return hmac.digest(self._key, f"{path}\n{date}\n{lifetime}".encode(), "sha256").hex()
