"""The gateway's own command, which also prints how many tasks it has whenever it gets SIGUSR1."""

import asyncio
import signal
import sys
from types import FrameType

from gallery_gateway.cli import main


def _tell(_number: int, _frame: FrameType | None) -> None:
    sys.stdout.write(f"tasks {len(asyncio.all_tasks())}\n")
    sys.stdout.flush()


signal.signal(signal.SIGUSR1, _tell)
sys.exit(main())
