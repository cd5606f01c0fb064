"""Draws the pictures as SVG: a garment on a soft ground, always the same for the same uuid."""

from dataclasses import dataclass
from html import escape
from random import Random

from gallery_gateway.demo.projects import DemoProject

_WOODS = ("#d9bf9f", "#c29f78", "#a17c57", "#7b5b40")
_SIZES = {"full_size": (960, 1200), "thumbnail": (160, 200)}
_GROUND = '<rect width="960" height="1200" fill="url(#ground)"/>'


@dataclass(frozen=True, slots=True, kw_only=True)
class _Garment:
    """A silhouette, as SVG paths on a field of 960 by 1200.

    Args:
        outline: filled with the fabric.
        accents: filled with a darker fabric, over the outline.
        seams: drawn as thin lines.
        straps: drawn as thick lines, behind the outline.
        figure: the dress form behind the garment, or an empty path.
        floor: the vertical position of the shadow.
    """

    outline: str
    accents: tuple[str, ...] = ()
    seams: tuple[str, ...] = ()
    straps: tuple[str, ...] = ()
    figure: str = ""
    floor: int = 1060


# A dress form: neck, pole and foot.
_FORM = (
    "M438 340 C444 300 444 270 442 236 Q480 216 518 236 C516 270 516 300 522 340 Z"
    " M468 222 a12 12 0 1 1 24 0 Z M470 880 H490 V1112 H470 Z M404 1130 Q480 1084 556 1130 Z"
)

_GARMENTS = {
    "shirt": _Garment(
        outline="M398 284 C360 296 322 306 296 326 C252 372 216 470 190 566 L284 606 C298 560 312 520"
        " 330 488 C336 620 330 770 318 904 Q480 946 642 904 C630 770 624 620 630 488"
        " C648 520 662 560 676 606 L770 566 C744 470 708 372 664 326 C638 306 600 296 562 284"
        " Q480 350 398 284 Z",
        accents=("M398 284 L430 262 L480 340 L436 392 Z", "M562 284 L530 262 L480 340 L524 392 Z"),
        seams=(
            "M480 344 V922", "M330 488 C336 430 330 380 318 336", "M630 488 C624 430 630 380 642 336",
            "M198 542 L292 580", "M762 542 L668 580", "M540 520 h66 v74 l-33 20 l-33 -20 Z",
        ),
        figure=_FORM,
        floor=1126,
    ),
    "dress": _Garment(
        outline="M396 286 L424 276 Q480 372 536 276 L564 286 C572 340 590 380 604 404 C592 460 572 500"
        " 570 552 C620 690 692 850 716 986 Q600 1030 480 1028 Q360 1030 244 986"
        " C268 850 340 690 390 552 C388 500 368 460 356 404 C370 380 388 340 396 286 Z",
        accents=("M390 546 Q480 566 570 546 L575 584 Q480 606 385 584 Z",),
        seams=("M436 606 C410 760 372 900 356 1008", "M480 606 V1028", "M524 606 C550 760 588 900 604 1008"),
        figure=_FORM,
        floor=1126,
    ),
    "trousers": _Garment(
        outline="M352 236 H608 C622 330 644 420 648 520 C656 700 668 880 672 1056 L548 1062"
        " C538 880 516 700 480 560 C444 700 422 880 412 1062 L288 1056"
        " C292 880 304 700 312 520 C316 420 338 330 352 236 Z",
        accents=("M352 236 H608 L613 282 H347 Z",),
        seams=(
            "M480 282 V560", "M480 282 Q520 380 484 430",
            "M347 330 Q396 340 410 284", "M613 330 Q564 340 550 284",
            "M372 500 C364 700 352 900 348 1058", "M588 500 C596 700 608 900 612 1058",
        ),
        floor=1070,
    ),
    "shoe": _Garment(
        outline="M176 780 C170 700 180 610 206 560 C240 586 300 590 344 556 C380 610 440 650 520 680"
        " C600 704 700 716 752 748 C784 768 792 790 792 812 L176 812 Z",
        accents=(
            "M166 806 H800 C808 850 790 884 744 884 H222 C180 884 160 850 166 806 Z",
            "M176 806 C170 700 180 610 206 560 C222 572 240 580 262 580 C250 650 252 720 268 806 Z",
        ),
        seams=(
            "M374 596 L336 650", "M416 630 L374 686", "M462 656 L420 716", "M512 678 L470 742",
            "M640 712 C620 750 622 780 630 806", "M166 846 H800",
        ),
        floor=890,
    ),
    "bag": _Garment(
        outline="M276 520 H684 C706 660 726 810 738 952 Q480 992 222 952 C234 810 254 660 276 520",
        accents=("M276 520 H684 L694 590 Q480 700 266 590 Z", "M452 622 h56 v58 h-56 Z"),
        seams=("M246 930 Q480 966 714 930", "M292 548 H668"),
        straps=("M364 524 C364 250 596 250 596 524",),
        floor=970,
    ),
}  # fmt: skip


def draw_picture(project: DemoProject, *, role: str, uuid: str, size: str) -> str:
    """Return the SVG text of a picture; `uuid` seeds its variations.

    The role `input` shows the garment laid flat on white, `output` shows it worn, in a coloured room.
    The size is `full_size` or `thumbnail`.
    """
    rng = Random(uuid)
    garment = _GARMENTS[project.garment]
    is_worn = role == "output"
    width, height = _SIZES[size]
    scene = _room(rng, garment) if is_worn else _gradient("ground", "#fdfdfc", "#ecebe8") + _GROUND
    angle = rng.uniform(-2, 2) if is_worn else rng.uniform(-5, 5)
    figure = f'<path d="{garment.figure}" fill="{rng.choice(_WOODS)}"/>' if is_worn and garment.figure else ""
    # A thumbnail has room for the SKU only.
    caption, pixels = (project.sku, 62) if size == "thumbnail" else (project.name, 26)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}"'
        f' viewBox="0 0 960 1200" role="img" aria-label="{escape(project.name)}">'
        f"{scene}"
        f'<g transform="rotate({angle:.2f} 480 640)">{figure}{_fabric(garment, project.hue)}</g>'
        f'<text x="48" y="1170" font-family="Helvetica, Arial, sans-serif" font-size="{pixels}"'
        f' letter-spacing="1" fill="#3a3733" opacity=".75">{escape(caption)}</text></svg>'
    )


def _room(rng: Random, garment: _Garment) -> str:
    hue = rng.randrange(360)
    side = rng.choice((300, 480, 660))
    return (
        _gradient("ground", f"hsl({hue},38%,93%)", f"hsl({(hue + 40) % 360},30%,78%)")
        + f'{_GROUND}<path d="M{side - 260} 1200 V520 a260 260 0 0 1 520 0 V1200 Z"'
        f' fill="hsl({hue},45%,97%)" opacity=".55"/>'
        f'<ellipse cx="480" cy="{garment.floor + 6}" rx="330" ry="30"'
        f' fill="hsl({hue},25%,30%)" opacity=".18"/>'
    )


def _fabric(garment: _Garment, hue: int) -> str:
    dark = f"hsl({hue},32%,32%)"
    straps, accents, seams = (
        "".join(f'<path d="{path}"/>' for path in paths)
        for paths in (garment.straps, garment.accents, garment.seams)
    )
    return (
        _gradient("fabric", f"hsl({hue},36%,66%)", f"hsl({(hue + 14) % 360},34%,47%)")
        + f'<g fill="none" stroke="{dark}" stroke-width="26">{straps}</g>'
        f'<path d="{garment.outline}" fill="url(#fabric)" stroke="{dark}" stroke-width="3"'
        ' stroke-linejoin="round"/>'
        f'<g fill="{dark}" opacity=".45">{accents}</g>'
        f'<g fill="none" stroke="{dark}" stroke-width="3" opacity=".6">{seams}</g>'
    )


def _gradient(name: str, top: str, bottom: str) -> str:
    return (
        f'<linearGradient id="{name}" x1="0" y1="0" x2=".4" y2="1"><stop stop-color="{top}"/>'
        f'<stop offset="1" stop-color="{bottom}"/></linearGradient>'
    )
