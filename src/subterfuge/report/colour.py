"""Colours computed here: of a spectrogram, of a map about zero, of a table's cells with text upon them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_WHITE = np.array([0.95047, 1.0, 1.08883])  # CIE XYZ of D65
_XYZ_TO_RGB = np.array(
    [
        [3.2404542, -1.5371385, -0.4985314],
        [-0.9692660, 1.8760108, 0.0415560],
        [0.0556434, -0.2040259, 1.0572252],
    ]
)


def palette(levels: int) -> NDArray[np.uint8]:
    """Colours from quiet to loud, perceptually even: CIE L* rises linearly while the hue turns.

    The hue runs from indigo through wine and ember to cream in CIE LCh (D65); where sRGB cannot show the
    chroma wanted, less is taken, so that the lightness is never bent.

    Parameters
    ----------
    levels : int
        How many colours, at least 2.

    Returns
    -------
    ndarray of uint8, shape (levels, 3)

    Examples
    --------
    >>> palette(61).shape
    (61, 3)
    """
    t = np.linspace(0.0, 1.0, levels)
    lightness = 4.0 + 92.0 * t
    hue = np.deg2rad(285.0 + 165.0 * t**0.9)
    wanted = 6.0 + 64.0 * np.sin(np.pi * t**0.8)
    return _nearest_srgb(lightness, wanted, hue)


def shades(levels: int, hue: float, *, dark: bool) -> NDArray[np.uint8]:
    """Shades of one hue for cells, from the page's ground to the full colour, perceptually even.

    Parameters
    ----------
    levels : int
        How many, at least 2.
    hue : float
        In degrees of CIE LCh: about 265 is blue, 50 orange.
    dark : bool
        Whether the ground is dark.

    Returns
    -------
    ndarray of uint8, shape (levels, 3)
    """
    t = np.linspace(0.0, 1.0, levels)
    lightness = 9.0 + 66.0 * t if dark else 96.5 - 61.5 * t
    return _nearest_srgb(lightness, 1.0 + 55.0 * t**0.8, np.full(levels, np.deg2rad(hue)))


def diverging(below: int, above: int, *, dark: bool) -> NDArray[np.uint8]:
    """Colours about zero: the ground's own at zero, bluer the further below; above, a jump to red.

    The two sides differ in lightness throughout, by 15 at least in CIE L*, so that they are told apart
    without any sense of hue.

    Parameters
    ----------
    below, above : int
        How many on either side, at least 2.
    dark : bool
        Whether the ground is dark.

    Returns
    -------
    ndarray of uint8, shape (below + above, 3)
        From the furthest below to the furthest above.
    """
    s, t = np.linspace(1.0, 0.0, below), np.linspace(0.0, 1.0, above)
    lightness = (13.0 + 25.0 * s, 58.0 + 32.0 * t) if dark else (96.0 - 19.0 * s, 60.0 - 34.0 * t)
    chroma = (1.5 + 27.0 * s, 62.0 - 16.0 * t if dark else np.full(above, 62.0))
    hue = np.deg2rad(np.concatenate([np.full(below, 265.0), np.full(above, 38.0)]))
    return _nearest_srgb(np.concatenate(lightness), np.concatenate(chroma), hue)


def tinted(levels: int, steps: int) -> NDArray[np.uint8]:
    """A palette of two things at once: from dark to light in greys, each of them tinted either way.

    Parameters
    ----------
    levels : int
        From dark to light, at least 2.
    steps : int
        Of tint on either side of none: blue below, orange above, which are a little lighter than their grey,
        so that what is dark shows its tint too.

    Returns
    -------
    ndarray of uint8, shape (levels * (2 * steps + 1), 3)
        The tint runs fastest, from the strongest blue to the strongest orange.

    Examples
    --------
    >>> tinted(28, 4).shape
    (252, 3)
    """
    t = np.repeat(np.linspace(0.0, 1.0, levels), 2 * steps + 1)
    a = np.tile(np.linspace(-1.0, 1.0, 2 * steps + 1), levels)
    lightness = np.minimum(4.0 + 84.0 * t + 20.0 * np.abs(a) * (1 - 0.6 * t), 97.0)
    return _nearest_srgb(lightness, 2.0 + 74.0 * np.abs(a), np.deg2rad(np.where(a < 0, 265.0, 50.0)))


def ink_on(colour: NDArray[np.uint8]) -> str:
    """Black or white, whichever has the better contrast: at least 4.5 to 1 on any colour (WCAG 2.2).

    Examples
    --------
    >>> ink_on(np.array([255, 255, 0], np.uint8)), ink_on(np.array([0, 0, 255], np.uint8))
    ('#000', '#fff')
    """
    x = np.asarray(colour, dtype=np.float64) / 255
    linear = np.where(x <= 0.04045, x / 12.92, ((x + 0.055) / 1.055) ** 2.4)
    luminance = float(linear @ np.array([0.2126, 0.7152, 0.0722]))
    return "#000" if (luminance + 0.05) / 0.05 > 1.05 / (luminance + 0.05) else "#fff"


def _nearest_srgb(
    lightness: NDArray[np.float64], wanted: NDArray[np.float64], hue: NDArray[np.float64]
) -> NDArray[np.uint8]:
    """Colours of CIE LCh (D65), their chroma cut back to what sRGB can show, so that lightness is kept."""
    low, high = np.zeros(len(hue)), np.full(len(hue), 150.0)  # bisect for the most chroma there is
    for _ in range(30):
        middle = (low + high) / 2
        rgb = _lch_to_linear(lightness, middle, hue)
        inside = ((rgb >= 0.0) & (rgb <= 1.0)).all(1)
        low, high = np.where(inside, middle, low), np.where(inside, high, middle)
    chroma = (wanted**-6 + low**-6) ** (-1 / 6)  # a smooth minimum: no kink where the gamut ends
    rgb = np.clip(_lch_to_linear(lightness, chroma, hue), 0.0, 1.0)
    encoded = np.where(rgb <= 0.0031308, 12.92 * rgb, 1.055 * rgb ** (1 / 2.4) - 0.055)
    return np.round(255 * encoded).astype(np.uint8)


def _lch_to_linear(
    lightness: NDArray[np.float64], chroma: NDArray[np.float64], hue: NDArray[np.float64]
) -> NDArray[np.float64]:
    """CIE LCh to linear sRGB, which may lie outside [0, 1]."""
    fy = (lightness + 16) / 116
    f = np.stack([fy + chroma * np.cos(hue) / 500, fy, fy - chroma * np.sin(hue) / 200], axis=1)
    xyz = _WHITE * np.where(f > 6 / 29, f**3, 3 * (6 / 29) ** 2 * (f - 4 / 29))
    return np.asarray(xyz @ _XYZ_TO_RGB.T)
