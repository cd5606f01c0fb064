"""The silhouettes that pictures show, as SVG paths on a field of 960 by 1200."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Garment:
    """One silhouette.

    Args:
        outline: filled with the fabric.
        accents: filled with a darker fabric, over the outline.
        seams: drawn as thin lines.
        straps: drawn as thick lines, behind the outline.
        figure: what wears it, behind everything; empty for what is shown without one.
        floor: where the shadow lies, from the top.
    """

    outline: str
    accents: tuple[str, ...] = ()
    seams: tuple[str, ...] = ()
    straps: tuple[str, ...] = ()
    figure: str = ""
    floor: int = 1060


# A tailor's dress form: neck, pole and foot.
_FORM = (
    "M438 340 C444 300 444 270 442 236 Q480 216 518 236 C516 270 516 300 522 340 Z"
    " M468 222 a12 12 0 1 1 24 0 Z M470 880 H490 V1112 H470 Z M404 1130 Q480 1084 556 1130 Z"
)

GARMENTS = {
    "shirt": Garment(
        outline=(
            "M398 284 C360 296 322 306 296 326 C252 372 216 470 190 566 L284 606 C298 560 312 520"
            " 330 488 C336 620 330 770 318 904 Q480 946 642 904 C630 770 624 620 630 488"
            " C648 520 662 560 676 606 L770 566 C744 470 708 372 664 326 C638 306 600 296 562 284"
            " Q480 350 398 284 Z"
        ),
        accents=(
            "M398 284 L430 262 L480 340 L436 392 Z",
            "M562 284 L530 262 L480 340 L524 392 Z",
        ),
        seams=(
            "M480 344 V922",
            "M330 488 C336 430 330 380 318 336",
            "M630 488 C624 430 630 380 642 336",
            "M198 542 L292 580",
            "M762 542 L668 580",
            "M540 520 h66 v74 l-33 20 l-33 -20 Z",
        ),
        figure=_FORM,
        floor=1126,
    ),
    "dress": Garment(
        outline=(
            "M396 286 L424 276 Q480 372 536 276 L564 286 C572 340 590 380 604 404 C592 460 572 500"
            " 570 552 C620 690 692 850 716 986 Q600 1030 480 1028 Q360 1030 244 986"
            " C268 850 340 690 390 552 C388 500 368 460 356 404 C370 380 388 340 396 286 Z"
        ),
        accents=("M390 546 Q480 566 570 546 L575 584 Q480 606 385 584 Z",),
        seams=(
            "M436 606 C410 760 372 900 356 1008",
            "M480 606 V1028",
            "M524 606 C550 760 588 900 604 1008",
        ),
        figure=_FORM,
        floor=1126,
    ),
    "trousers": Garment(
        outline=(
            "M352 236 H608 C622 330 644 420 648 520 C656 700 668 880 672 1056 L548 1062"
            " C538 880 516 700 480 560 C444 700 422 880 412 1062 L288 1056"
            " C292 880 304 700 312 520 C316 420 338 330 352 236 Z"
        ),
        accents=("M352 236 H608 L613 282 H347 Z",),
        seams=(
            "M480 282 V560",
            "M480 282 Q520 380 484 430",
            "M347 330 Q396 340 410 284",
            "M613 330 Q564 340 550 284",
            "M372 500 C364 700 352 900 348 1058",
            "M588 500 C596 700 608 900 612 1058",
        ),
        floor=1070,
    ),
    "shoe": Garment(
        outline=(
            "M176 780 C170 700 180 610 206 560 C240 586 300 590 344 556 C380 610 440 650 520 680"
            " C600 704 700 716 752 748 C784 768 792 790 792 812 L176 812 Z"
        ),
        accents=(
            "M166 806 H800 C808 850 790 884 744 884 H222 C180 884 160 850 166 806 Z",
            "M176 806 C170 700 180 610 206 560 C222 572 240 580 262 580 C250 650 252 720 268 806 Z",
        ),
        seams=(
            "M374 596 L336 650",
            "M416 630 L374 686",
            "M462 656 L420 716",
            "M512 678 L470 742",
            "M640 712 C620 750 622 780 630 806",
            "M166 846 H800",
        ),
        floor=890,
    ),
    "bag": Garment(
        outline="M276 520 H684 C706 660 726 810 738 952 Q480 992 222 952 C234 810 254 660 276 520",
        accents=("M276 520 H684 L694 590 Q480 700 266 590 Z", "M452 622 h56 v58 h-56 Z"),
        seams=("M246 930 Q480 966 714 930", "M292 548 H668"),
        straps=("M364 524 C364 250 596 250 596 524",),
        floor=970,
    ),
}
