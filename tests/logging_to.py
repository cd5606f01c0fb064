"""What the gateway logs, caught in the test's own stream."""

import io
import json
import logging
from typing import Any


class Written(io.StringIO):
    """What has been logged: all of it, whenever it is looked at."""

    def getvalue(self) -> str:
        for handler in logging.getLogger("gallery_gateway").handlers:
            handler.flush()
        return super().getvalue()

    def lines(self) -> list[dict[str, Any]]:
        """Its lines, if they are JSON."""
        return [json.loads(line) for line in self.getvalue().splitlines()]
