"""Security curves, AttackBench's optimality, and the figure that shows them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

COLOURS = ("#0b7285", "#e8590c", "#5f3dc4", "#2b8a3e", "#c2255c", "#1864ab", "#846358", "#868e96", "#f08c00")
DASHES = ("", "6 3", "2 3")


def success_at(snrs: Sequence[float], least: float) -> float:
    """Share of pairs that were fooled with at least ``least`` dB SNR; a failure is minus infinity."""
    return float(np.mean(np.asarray(snrs, dtype=float) >= least))


def optimality(distances: Sequence[float], best: Sequence[float]) -> float:
    """Local optimality of an attack, 1 being the best known (AttackBench: Cinà et al., 2024).

    The area under robust accuracy against norm, from 0 to the largest norm D that the best known
    attacks need, measured between the worst (no success at all) and the best-known envelope::

        1 - (A - A*) / (rho(0) D - A*)

    with ``A`` the attack's area, ``A*`` the envelope's and ``rho(0)`` the share of pairs that need any
    change. Robust accuracy is a staircase, and its area up to D is the mean of min(distance, D).

    Parameters
    ----------
    distances : sequence of float
        The attack's norm for each pair, ``inf`` where it failed.
    best : sequence of float
        The smallest norm known for each pair, over all attacks; ``inf`` where none succeeded.
    """
    own, envelope = np.asarray(distances, dtype=float), np.asarray(best, dtype=float)
    if own.shape != envelope.shape:
        raise ValueError(
            f"optimality: got {own.size} distances and {envelope.size} best ones, expected as many"
        )
    finite = envelope[np.isfinite(envelope)]
    if not finite.size or finite.max() == 0:
        return float("nan")
    end = float(finite.max())
    best_area = float(np.mean(np.minimum(envelope, end)))
    area = float(np.mean(np.minimum(own, end)))
    worst = float(np.mean(envelope > 0)) * end
    # All best-known norms equal: the envelope is itself the staircase's end, and any failure is worst.
    if worst == best_area:
        return float(np.mean(own <= envelope))
    return 1 - (area - best_area) / (worst - best_area)


def figure(curves: Mapping[str, Mapping[str, Sequence[float]]], *, low: float = 0, high: float = 70) -> str:
    """An SVG of success against SNR: one panel a budget, one staircase an attack.

    ``curves`` maps a panel's title to a mapping from an attack's name to its SNRs (failures minus
    infinity). The attacks are drawn in the order given, the first one thick.
    """
    width, height, left, top, gap = 330, 250, 46, 34, 22
    names = list(dict.fromkeys(name for panel in curves.values() for name in panel))
    legend_rows = (len(names) + 2) // 3
    total_width = left + len(curves) * (width + gap)
    total_height = top + height + 52 + 20 * legend_rows
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {total_width} {total_height}" '
        f'width="{total_width}" height="{total_height}" font-family="system-ui, sans-serif" font-size="12">',
        f'<rect width="{total_width}" height="{total_height}" fill="#ffffff"/>',
    ]
    for number, (title, panel) in enumerate(curves.items()):
        x0 = left + number * (width + gap)
        parts += _panel(x0, top, width, height, title, panel, names, low, high, first=number == 0)
    for number, name in enumerate(names):
        x, y = left + (number % 3) * (total_width - left) / 3, top + height + 52 + 20 * (number // 3)
        parts.append(f'<path d="M{x:.0f} {y - 4}h26" {_stroke(number)}/>')
        parts.append(f'<text x="{x + 32:.0f}" y="{y}" fill="#222">{_escaped(name)}</text>')
    return "\n".join([*parts, "</svg>\n"])


def _panel(
    x0: float,
    y0: float,
    width: float,
    height: float,
    title: str,
    panel: Mapping[str, Sequence[float]],
    names: Sequence[str],
    low: float,
    high: float,
    *,
    first: bool,
) -> list[str]:
    def px(snr: float) -> float:
        return x0 + (min(max(snr, low), high) - low) / (high - low) * width

    def py(share: float) -> float:
        return y0 + (1 - share) * height

    parts = [f'<text x="{x0}" y="{y0 - 12}" font-weight="600" fill="#222">{_escaped(title)}</text>']
    for share in (0, 0.25, 0.5, 0.75, 1):
        parts.append(f'<path d="M{x0} {py(share):.1f}h{width}" stroke="#ddd"/>')
        if first:
            label = (
                f'<text x="{x0 - 6}" y="{py(share) + 4:.1f}" text-anchor="end" fill="#444">{share:.0%}</text>'
            )
            parts.append(label)
    for snr in np.arange(low, high + 1, 10):
        parts.append(f'<path d="M{px(snr):.1f} {y0}v{height}" stroke="#eee"/>')
        parts.append(_centred(px(snr), y0 + height + 16, f"{snr:.0f}"))
    parts.append(_centred(x0 + width / 2, y0 + height + 33, "fooled at SNR ≥ (dB)"))
    for name, snrs in reversed(panel.items()):
        steps = sorted(min(s, high) for s in snrs if s > low)
        points = [(px(low), py(success_at(snrs, low)))]
        for snr in steps:
            points += [(px(snr), points[-1][1]), (px(snr), py(np.mean([s > snr for s in snrs])))]
        points.append((px(high), points[-1][1]))
        line = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        parts.append(f'<polyline points="{line}" fill="none" {_stroke(names.index(name))}/>')
    return parts


def _centred(x: float, y: float, text: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="middle" fill="#444">{text}</text>'


def _stroke(number: int) -> str:
    colour, dash = COLOURS[number % len(COLOURS)], DASHES[number // len(COLOURS) % len(DASHES)]
    width = 3 if number == 0 else 1.6
    return f'stroke="{colour}" stroke-width="{width}"' + (f' stroke-dasharray="{dash}"' if dash else "")


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
