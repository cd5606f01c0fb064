"""`python -m tests.faults`: the table of `docs/faults.md` as it is now, with the times of this run."""

import asyncio

from tests.faults.table import Row, rows


def shown(row: Row) -> str:
    """A row of the page, with the time beside it."""
    return f"{row.shown()} {row.seconds:.2f} s"


async def main() -> None:
    async for row in rows():
        print(shown(row), flush=True)


if __name__ == "__main__":
    asyncio.run(main())
