"""Draws the pictures: a garment on a soft ground, the same for the same uuid."""

from html import escape
from random import Random

from gallery_gateway.demo.garments import GARMENTS, Garment
from gallery_gateway.demo.projects import DemoProject

_WOODS = ("#d9bf9f", "#c29f78", "#a17c57", "#7b5b40")
_FULL_SIZE, _THUMBNAIL = (960, 1200), (160, 200)


def draw_picture(project: DemoProject, *, role: str, uuid: str, size: str) -> str:
    """The SVG text of one picture.

    The role `input` shows the garment laid flat on white, `output` worn, in a coloured room; the
    size is `full_size` or `thumbnail`.
    """
    rng = Random(uuid)
    garment = GARMENTS[project.garment]
    worn = role == "output"
    width, height = _THUMBNAIL if size == "thumbnail" else _FULL_SIZE
    scene = _room(rng, garment) if worn else _table()
    lean = rng.uniform(-2, 2) if worn else rng.uniform(-5, 5)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}"'
        f' viewBox="0 0 960 1200" role="img" aria-label="{escape(project.name)}">'
        f"{scene}"
        f'<g transform="rotate({lean:.2f} 480 640)">'
        f"{_figure(rng, garment) if worn else ''}{_fabric(garment, project.hue)}</g>"
        f"{_caption(project, size)}</svg>"
    )


def _room(rng: Random, garment: Garment) -> str:
    hue = rng.randrange(360)
    side = rng.choice((300, 480, 660))
    return (
        _gradient("ground", f"hsl({hue},38%,93%)", f"hsl({(hue + 40) % 360},30%,78%)")
        + '<rect width="960" height="1200" fill="url(#ground)"/>'
        + f'<path d="M{side - 260} 1200 V520 a260 260 0 0 1 520 0 V1200 Z"'
        + f' fill="hsl({hue},45%,97%)" opacity=".55"/>'
        + f'<ellipse cx="480" cy="{garment.floor + 6}" rx="330" ry="30"'
        + f' fill="hsl({hue},25%,30%)" opacity=".18"/>'
    )


def _table() -> str:
    return _gradient("ground", "#fdfdfc", "#ecebe8") + '<rect width="960" height="1200" fill="url(#ground)"/>'


def _figure(rng: Random, garment: Garment) -> str:
    return f'<path d="{garment.figure}" fill="{rng.choice(_WOODS)}"/>' if garment.figure else ""


def _fabric(garment: Garment, hue: int) -> str:
    dark = f"hsl({hue},32%,32%)"
    straps = "".join(f'<path d="{path}"/>' for path in garment.straps)
    accents = "".join(f'<path d="{path}"/>' for path in garment.accents)
    seams = "".join(f'<path d="{path}"/>' for path in garment.seams)
    return (
        _gradient("fabric", f"hsl({hue},36%,66%)", f"hsl({(hue + 14) % 360},34%,47%)")
        + f'<g fill="none" stroke="{dark}" stroke-width="26">{straps}</g>'
        + f'<path d="{garment.outline}" fill="url(#fabric)" stroke="{dark}" stroke-width="3"'
        + ' stroke-linejoin="round"/>'
        + f'<g fill="{dark}" opacity=".45">{accents}</g>'
        + f'<g fill="none" stroke="{dark}" stroke-width="3" opacity=".6">{seams}</g>'
    )


def _gradient(name: str, top: str, bottom: str) -> str:
    return (
        f'<linearGradient id="{name}" x1="0" y1="0" x2=".4" y2="1"><stop stop-color="{top}"/>'
        f'<stop offset="1" stop-color="{bottom}"/></linearGradient>'
    )


def _caption(project: DemoProject, size: str) -> str:
    """Thumbnails have room for the SKU only."""
    text, pixels = (project.sku, 62) if size == "thumbnail" else (project.name, 26)
    return (
        f'<text x="48" y="1170" font-family="Helvetica, Arial, sans-serif" font-size="{pixels}"'
        f' letter-spacing="1" fill="#3a3733" opacity=".75">{escape(text)}</text>'
    )
