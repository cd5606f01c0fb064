"""The gateway's command, which also prints its number of tasks on SIGUSR1."""

import asyncio
import signal
import sys
from types import FrameType

from gallery_gateway.cli import main


def _print_tasks(_number: int, _frame: FrameType | None) -> None:
    sys.stdout.write(f"tasks {len(asyncio.all_tasks())}\n")
    sys.stdout.flush()


signal.signal(signal.SIGUSR1, _print_tasks)
sys.exit(main())
