"""Makes up the projects: who owns them, what they show, how many images they hold."""

import uuid
from dataclasses import dataclass
from random import Random

from gallery_gateway.demo.callers import CALLERS, DemoCaller

# 2024-01-08 to 2026-05-29, in seconds since 1970: when settled projects were begun.
_FIRST_DAY, _LAST_DAY = 1_704_700_000.0, 1_780_000_000.0
# 2024-09-12: before it, answers lack the fields that were added to the contract later.
_NEWER_SINCE = 1_726_100_000.0
_FIRST_PROJECT_ID = 10_001
_LIVE_PER_CALLER = 2

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
    """A made-up project, without its images.

    Args:
        created_seconds: since 1970. A live project's is the beginning of its present run.
        phase_seconds: when in the cycle a live project begins its runs; None for a settled one.
        garment: which silhouette its pictures show.
        hue: the colour of the garment, in degrees.
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
    created_seconds: float
    phase_seconds: float | None

    @property
    def has_newer_fields(self) -> bool:
        return self.phase_seconds is not None or self.created_seconds >= _NEWER_SINCE

    def is_seen_by(self, caller: DemoCaller) -> bool:
        if self.owner == caller:
            return True
        return self.is_shared and self.owner.group == caller.group


def make_projects(seed: int) -> tuple[DemoProject, ...]:
    """All projects of all callers, the live ones last."""
    rng = Random(f"{seed}/projects")
    owners = [caller for caller in CALLERS for _ in range(caller.settled_projects)]
    rng.shuffle(owners)
    days = sorted(rng.uniform(_FIRST_DAY, _LAST_DAY) for _ in owners)
    settled = [
        _make_project(
            rng,
            project_id=_FIRST_PROJECT_ID + number,
            owner=owner,
            is_shared=rng.random() < 0.75,
            size=_size_of(number, rng),
            created_seconds=float(int(day)),
        )
        for number, (owner, day) in enumerate(zip(owners, days, strict=True))
    ]
    return (*settled, *_make_live_projects(rng, _FIRST_PROJECT_ID + len(settled)))


def _make_live_projects(rng: Random, first_project_id: int) -> list[DemoProject]:
    # A caller's two runs begin half a cycle apart: something is being made at every moment.
    return [
        _make_project(
            rng,
            project_id=first_project_id + number,
            owner=CALLERS[number // _LIVE_PER_CALLER],
            is_shared=number % _LIVE_PER_CALLER == 0,
            size=rng.randint(18, 36),
            phase_seconds=number // _LIVE_PER_CALLER * 60.0 + number % _LIVE_PER_CALLER * 180.0,
        )
        for number in range(_LIVE_PER_CALLER * len(CALLERS))
    ]


def _make_project(
    rng: Random,
    *,
    project_id: int,
    owner: DemoCaller,
    is_shared: bool,
    size: int,
    created_seconds: float = 0.0,
    phase_seconds: float | None = None,
) -> DemoProject:
    product, garment = rng.choice(_PRODUCTS)
    sku = f"SKU {rng.randint(10_000, 99_999)}"
    return DemoProject(
        project_id=project_id,
        key=str(uuid.UUID(int=rng.getrandbits(128), version=4)),
        name=f"{rng.choice(_FABRICS)} {product} {sku}",
        sku=sku,
        garment=garment,
        hue=rng.randrange(360),
        owner=owner,
        is_shared=is_shared,
        size=size,
        created_seconds=created_seconds,
        phase_seconds=phase_seconds,
    )


def _size_of(number: int, rng: Random) -> int:
    """Images in a settled project: few are empty, few exceed the largest cap, most are small."""
    if number % 30 == 7:
        return 0
    if number % 24 == 5:
        return rng.randint(201, 260)
    return rng.randint(8, 30)
