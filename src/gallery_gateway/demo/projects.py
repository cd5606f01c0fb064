"""Generates the projects: owners, names, sizes, and the repeating runs of live projects.

A settled project never changes. A live project starts a new run every `CYCLE_SECONDS`, with new images that
go from pending to processing to completed or failed, so that a client always has progress to show.
"""

import uuid
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from random import Random
from typing import Any

from gallery_gateway.demo.callers import CALLERS, DemoCaller

CYCLE_SECONDS = 360
_FIRST_PROJECT_ID = 10_001
# The last project, beyond 32 bits, so that clients meet such an id.
_LAST_PROJECT_ID = 3_000_000_001
# Settled projects are created from 2024-01-08 to 2026-05-29, in seconds since 1970.
_FIRST_DAY, _LAST_DAY = 1_704_700_000.0, 1_780_000_000.0
# 2024-09-12. Older projects lack the fields that the contract gained later.
_NEW_FIELDS_SINCE = 1_726_100_000.0

_FABRICS = (
    "Linen", "Cotton", "Silk", "Denim", "Wool", "Corduroy", "Satin", "Jersey", "Crêpe", "Loden",
    "Suede", "Canvas", "Quilted", "Recycled", "Garment-dyed",
)  # fmt: skip
_PRODUCTS = (
    ("shirt", "shirt"), ("blouse", "shirt"), ("T-shirt", "shirt"), ("overshirt", "shirt"),
    ("dress", "dress"), ("midi dress", "dress"), ("robe d'été", "dress"),
    ("trousers", "trousers"), ("jeans & belt", "trousers"), ("culottes", "trousers"),
    ("sneaker", "shoe"), ("trainer <sample>", "shoe"),
    ("tote bag", "bag"), ("crossbody bag", "bag"),
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoProject:
    """A generated project, without its images.

    Args:
        garment: the silhouette in its pictures, a key of `_GARMENTS`.
        hue: the colour of the garment, in degrees.
        size: the number of images.
        created_seconds: seconds since 1970; for a live project, the start of its current run.
        phase_seconds: the offset of a live project's runs within the cycle; `None` for a settled project.
        run: the number of a live project's current run.
    """

    project_id: int
    key: str
    name: str
    sku: str
    garment: str
    hue: int
    owner: DemoCaller
    is_shared: bool
    size: int
    created_seconds: float = 0.0
    phase_seconds: float | None = None
    run: int = 0

    @property
    def has_new_fields(self) -> bool:
        return self.phase_seconds is not None or self.created_seconds >= _NEW_FIELDS_SINCE

    def timestamp(self, age_seconds: float = 0) -> str:
        """Return the creation date plus `age_seconds` in ISO 8601; older projects have no time zone."""
        moment = datetime.fromtimestamp(self.created_seconds + age_seconds, UTC)
        return (moment if self.has_new_fields else moment.replace(tzinfo=None)).isoformat()

    def is_visible_to(self, caller: DemoCaller) -> bool:
        return self.owner == caller or (self.is_shared and self.owner.group == caller.group)

    def at(self, now: float) -> "DemoProject":
        """Return the project as it is at `now`: a live project moves on to its current run."""
        if self.phase_seconds is None:
            return self
        run = int((now - self.phase_seconds) // CYCLE_SECONDS)
        return replace(self, run=run, created_seconds=run * CYCLE_SECONDS + self.phase_seconds)


def make_projects(seed: int) -> list[DemoProject]:
    """Generate the projects of all callers in the order of their ids, live projects last."""
    rng = Random(f"{seed}/projects")
    owners = [caller for caller in CALLERS for _ in range(caller.settled_projects)]
    rng.shuffle(owners)
    days = sorted(rng.uniform(_FIRST_DAY, _LAST_DAY) for _ in owners)
    projects = [
        _make_project(
            rng,
            project_id=_FIRST_PROJECT_ID + number,
            owner=owner,
            is_shared=rng.random() < 0.75,
            size=_make_size(rng, number),
            created_seconds=int(day),
        )
        for number, (owner, day) in enumerate(zip(owners, days, strict=True))
    ]
    for number, owner in enumerate(CALLERS):
        # The two runs of a caller start half a cycle apart, so that one of them is always in progress.
        for is_shared, offset_seconds in ((True, 0), (False, CYCLE_SECONDS / 2)):
            live = _make_project(
                rng,
                project_id=_FIRST_PROJECT_ID + len(projects),
                owner=owner,
                is_shared=is_shared,
                size=rng.randint(18, 36),
                phase_seconds=number * 60 + offset_seconds,
            )
            projects.append(live)
    return [*projects[:-1], replace(projects[-1], project_id=_LAST_PROJECT_ID)]


def make_uuid(rng: Random) -> str:
    return str(uuid.UUID(int=rng.getrandbits(128), version=4))


def _make_project(rng: Random, **fields: Any) -> DemoProject:
    product, garment = rng.choice(_PRODUCTS)
    sku = f"SKU {rng.randint(10_000, 99_999)}"
    return DemoProject(
        key=make_uuid(rng),
        name=f"{rng.choice(_FABRICS)} {product} {sku}",
        sku=sku,
        garment=garment,
        hue=rng.randrange(360),
        **fields,
    )


def _make_size(rng: Random, number: int) -> int:
    """Return the number of images of a settled project: usually 8 to 30, sometimes none or more than 200."""
    if number % 30 == 7:
        return 0
    if number % 24 == 5:
        return rng.randint(201, 260)
    return rng.randint(8, 30)
