"""Where a road's length is written on a map: on its own line, clear of everything else."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

# What must be free around a number's middle, in pixels: of other roads, of a town's middle and of
# another number's middle.
ROAD_GAP, TOWN_GAP, NUMBER_GAP = 13.0, 30.0, 25.0
ALONG = np.linspace(0.2, 0.8, 31)


def label_places(
    towns: np.ndarray, roads: Sequence[tuple[int, int]]
) -> list[tuple[float, float]] | None:
    """The middle of each road's number, or None if one would be taken for another road's.

    Args:
        towns: their middles, (n_towns, 2), in pixels.
        roads: pairs of towns, each drawn as a straight line.
    """
    placed: dict[int, np.ndarray] = {}
    # Short roads first: they have the fewest places.
    lengths = [float(np.linalg.norm(towns[a] - towns[b])) for a, b in roads]
    for place in np.argsort(lengths, kind="stable").tolist():
        a, b = roads[place]
        spots = towns[a] + ALONG[:, None] * (towns[b] - towns[a])
        others = [
            _distances(spots, towns[c], towns[d]) / ROAD_GAP
            for at, (c, d) in enumerate(roads)
            if at != place
        ]
        to_towns = [np.linalg.norm(spots - town, axis=1) / TOWN_GAP for town in towns]
        to_numbers = [np.linalg.norm(spots - each, axis=1) / NUMBER_GAP for each in placed.values()]
        room = np.min(others + to_towns + to_numbers, axis=0)
        if room.max() < 1:
            return None
        placed[place] = spots[int(np.argmax(room))]
    return [(float(placed[at][0]), float(placed[at][1])) for at in range(len(roads))]


def _distances(points: np.ndarray, start: np.ndarray, end: np.ndarray) -> np.ndarray:
    """From each point to the segment."""
    along = np.clip((points - start) @ (end - start) / ((end - start) @ (end - start)), 0, 1)
    found: np.ndarray = np.linalg.norm(points - start - along[:, None] * (end - start), axis=1)
    return found
