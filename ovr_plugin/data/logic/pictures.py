"""Puzzles that a picture shows: a number square, a colour pattern, a maze, a graph, matches."""

from __future__ import annotations

from collections import deque
from heapq import heappop, heappush
from itertools import permutations
from typing import Any

import numpy as np

from ovr_plugin.data.logic.puzzle import COLOURS, Family, Puzzle, integer, pick
from ovr_plugin.data.logic.road_labels import label_places

SIZE, MAP_SIZE = 336, 448
BLACK, GREY = (20, 20, 20), (150, 150, 150)


def _font(size: int) -> Any:
    from PIL import ImageFont

    return ImageFont.load_default(size)


def make_latin(rng: np.random.Generator, level: int) -> Puzzle:
    """A Latin square with holes; asked for one of them."""
    n = 3 + (level > 1) + (level > 3)
    base = (np.arange(n)[:, None] + np.arange(n)) % n
    square = base[rng.permutation(n)][:, rng.permutation(n)]
    square = rng.permutation(n)[square] + 1
    cells = [[int(x) for x in row] for row in square]
    holes = [divmod(int(x), n) for x in rng.permutation(n * n)]
    asked = holes[0]
    shown: list[list[int]] = [list(row) for row in cells]
    shown[asked[0]][asked[1]] = 0
    n_holes = 1
    for r, c in holes[1:]:
        if n_holes >= 2 + 2 * level:
            break
        shown[r][c] = 0
        if len(solve_latin({"cells": shown, "asked": asked})) == 1:
            n_holes += 1
        else:
            shown[r][c] = cells[r][c]
    side = (SIZE - 36) // n

    def draw(canvas: Any) -> None:
        for r in range(n):
            for c in range(n):
                x, y = 18 + c * side, 18 + r * side
                canvas.rectangle((x, y, x + side, y + side), outline=BLACK, width=2)
                said = "?" if (r, c) == asked else str(shown[r][c] or "")
                middle = (x + side / 2, y + side / 2)
                canvas.text(middle, said, BLACK, font=_font(side // 2), anchor="mm")

    return Puzzle(
        f"In the square, each of the numbers 1 to {n} stands once in every row and once in every "
        "column. Some cells are empty. Which number belongs in the cell with the question mark?",
        str(cells[asked[0]][asked[1]]),
        {"cells": [list(row) for row in shown], "asked": asked},
        draw=draw,
    )


def solve_latin(data: dict[str, Any]) -> set[str]:
    """By filling the rows with all permutations that fit."""
    cells, (row, column) = data["cells"], data["asked"]
    n = len(cells)
    choices = [
        [
            p
            for p in permutations(range(1, n + 1))
            if all(a in (0, b) for a, b in zip(r, p, strict=True))
        ]
        for r in cells
    ]
    found: set[str] = set()

    def fill(rows: list[tuple[int, ...]]) -> None:
        if len(rows) == n:
            found.add(str(rows[row][column]))
            return
        for p in choices[len(rows)]:
            if all(x not in (r[c] for r in rows) for c, x in enumerate(p)):
                fill([*rows, p])

    fill([])
    return found


def make_pattern(rng: np.random.Generator, level: int) -> Puzzle:
    """A ring of coloured discs in a repeating pattern, with one disc hidden."""
    period = 2 + (level > 2) + (level > 4)
    names = pick(rng, list(COLOURS), min(period, 4))
    motif = [*names, *(pick(rng, names, 1) * (period - len(names)))]
    ring = motif * (2 + level // 2)
    asked = integer(rng, 0, len(ring))
    hidden = [None if place == asked else name for place, name in enumerate(ring)]

    def draw(canvas: Any) -> None:
        for place, name in enumerate(hidden):
            angle = 2 * np.pi * place / len(hidden) - np.pi / 2
            x, y = SIZE / 2 + 125 * np.cos(angle), SIZE / 2 + 125 * np.sin(angle)
            fill = COLOURS[name] if name else (255, 255, 255)
            canvas.ellipse((x - 24, y - 24, x + 24, y + 24), fill=fill, outline=BLACK, width=2)
            if not name:
                canvas.text((x, y), "?", BLACK, font=_font(28), anchor="mm")

    return Puzzle(
        f"The discs of the ring repeat a pattern of {period} colours. Which colour is hidden by "
        "the question mark?",
        ring[asked],
        {"ring": hidden, "period": period, "colours": sorted(COLOURS)},
        answer_type="text",
        choices=sorted([*pick(rng, [c for c in COLOURS if c != ring[asked]], 3), ring[asked]]),
        draw=draw,
    )


def solve_pattern(data: dict[str, Any]) -> set[str]:
    """By trying every colour and looking whether the ring looks the same turned by the period."""
    ring, period = data["ring"], data["period"]
    found = set()
    for colour in data["colours"]:
        full = [each or colour for each in ring]
        if full == full[period:] + full[:period]:
            found.add(colour)
    return found


def make_maze(rng: np.random.Generator, level: int) -> Puzzle:
    """A grid with walls: how many steps has the shortest way?"""
    n = 3 + level
    while True:
        walls = rng.random((n, n)) < 0.28
        walls[0, 0] = walls[-1, -1] = False
        cells = [[bool(x) for x in row] for row in walls]
        steps = _breadth_first(cells)
        if steps is not None and steps > 2 * (n - 1) - (level < 3):
            break
    side = (SIZE - 36) // n

    def draw(canvas: Any) -> None:
        for r in range(n):
            for c in range(n):
                x, y = 18 + c * side, 18 + r * side
                fill = BLACK if cells[r][c] else (255, 255, 255)
                canvas.rectangle((x, y, x + side, y + side), fill=fill, outline=GREY)
        for letter, place in (("S", 0), ("G", n - 1)):
            middle = 18 + (place + 0.5) * side
            canvas.text((middle, middle), letter, (200, 30, 30), font=_font(side // 2), anchor="mm")

    return Puzzle(
        "From the cell S to the cell G one goes from white cell to white cell, up, down, left or "
        "right; black cells are walls. How many steps does the shortest way have?",
        str(steps),
        {"walls": cells},
        draw=draw,
    )


def _breadth_first(walls: list[list[bool]]) -> int | None:
    n = len(walls)
    steps = {(0, 0): 0}
    queue = deque([(0, 0)])
    while queue:
        r, c = queue.popleft()
        for p in ((r + 1, c), (r - 1, c), (r, c + 1), (r, c - 1)):
            if 0 <= min(p) and max(p) < n and not walls[p[0]][p[1]] and p not in steps:
                steps[p] = steps[r, c] + 1
                queue.append(p)
    return steps.get((n - 1, n - 1))


def solve_maze(data: dict[str, Any]) -> set[str]:
    """By relaxing all cells until nothing changes (Bellman and Ford)."""
    walls = np.array(data["walls"])
    far = walls.size + 1
    steps = np.full(walls.shape, far)
    steps[0, 0] = 0
    for _ in range(walls.size):
        near = np.pad(steps, 1, constant_values=far)
        around = np.stack([near[2:, 1:-1], near[:-2, 1:-1], near[1:-1, 2:], near[1:-1, :-2]])
        steps = np.where(walls, far, np.minimum(steps, around.min(axis=0) + 1))
    return {str(int(steps[-1, -1]))} if steps[-1, -1] < far else set()


def make_roads(rng: np.random.Generator, level: int) -> Puzzle:
    """Towns with roads between them: how long is the shortest way?"""
    n = 4 + level
    letters = list("ABCDEFGHI"[:n])
    angles = 2 * np.pi * np.arange(n) / n
    towns = MAP_SIZE / 2 + (MAP_SIZE / 2 - 30) * np.stack([np.cos(angles), np.sin(angles)], axis=1)
    places = None
    while places is None:  # until every length can be told to be its own road's
        order, roads = _draw_roads(rng, n)
        places = label_places(towns, [road[:2] for road in roads])
    start, goal, numbers = order[0], order[-1], places
    shortest = _dijkstra(n, roads, start)[goal]

    def draw(canvas: Any) -> None:
        for a, b, _ in roads:
            canvas.line((*towns[a], *towns[b]), fill=GREY, width=2)
        for (_, _, length), (x, y) in zip(roads, numbers, strict=True):
            canvas.rectangle((x - 11, y - 10, x + 11, y + 10), fill=(255, 255, 255))
            canvas.text((x, y), str(length), BLACK, font=_font(17), anchor="mm")
        for (x, y), letter in zip(towns, letters, strict=True):
            canvas.ellipse((x - 16, y - 16, x + 16, y + 16), fill=(255, 240, 190), outline=BLACK)
            canvas.text((x, y), letter, BLACK, font=_font(18), anchor="mm")

    return Puzzle(
        f"The lines are roads between towns, with their lengths in kilometres. How many kilometres "
        f"long is the shortest way from {letters[start]} to {letters[goal]}?",
        str(shortest),
        {"n": n, "roads": roads, "start": start, "goal": goal},
        draw=draw,
        size=(MAP_SIZE, MAP_SIZE),
    )


def _draw_roads(rng: np.random.Generator, n: int) -> tuple[list[int], list[tuple[int, int, int]]]:
    """The towns in the order of one way through all of them, and the roads with their lengths."""
    edges = {(i, i + 1): integer(rng, 2, 10) for i in range(n - 1)}
    for _ in range(n):
        a, b = sorted(int(x) for x in rng.permutation(n)[:2])
        edges.setdefault((a, b), integer(rng, 3, 10 + 4 * (b - a)))
    order = [int(x) for x in rng.permutation(n)]
    return order, [(order[a], order[b], length) for (a, b), length in edges.items()]


def _dijkstra(n: int, roads: list[tuple[int, int, int]], start: int) -> list[int]:
    near: list[list[tuple[int, int]]] = [[] for _ in range(n)]
    for a, b, length in roads:
        near[a].append((b, length))
        near[b].append((a, length))
    best = [10**9] * n
    queue = [(0, start)]
    while queue:
        so_far, town = heappop(queue)
        if so_far < best[town]:
            best[town] = so_far
            for other, length in near[town]:
                heappush(queue, (so_far + length, other))
    return best


def solve_roads(data: dict[str, Any]) -> set[str]:
    """By the distances between all pairs (Floyd and Warshall)."""
    n = data["n"]
    far = np.full((n, n), 10**9)
    np.fill_diagonal(far, 0)
    for a, b, length in data["roads"]:
        far[a, b] = far[b, a] = min(far[a, b], length)
    for k in range(n):
        far = np.minimum(far, far[:, k, None] + far[None, k, :])
    return {str(int(far[data["start"], data["goal"]]))}


def make_bars(rng: np.random.Generator, level: int) -> Puzzle:
    """Bars of a chart without numbers on them: read, compare and reckon."""
    names = pick(rng, list(COLOURS), min(2 + level, 6))
    heights = [int(x) for x in rng.permutation(np.arange(1, 11))[: len(names)]]
    a, b = pick(rng, names, 2)
    kind = "difference" if level < 3 else "total"
    data = {"bars": dict(zip(names, heights, strict=True)), "a": a, "b": b, "kind": kind}

    def draw(canvas: Any) -> None:
        floor, unit = SIZE - 30, 28
        for value in range(11):
            y = floor - value * unit
            canvas.line((36, y, SIZE - 12, y), fill=(225, 225, 225))
            canvas.text((30, y), str(value), BLACK, font=_font(14), anchor="rm")
        width = (SIZE - 60) // len(names)
        for place, (name, height) in enumerate(zip(names, heights, strict=True)):
            x = 44 + place * width
            box = (x, floor - height * unit, x + width * 2 // 3, floor)
            canvas.rectangle(box, fill=COLOURS[name], outline=BLACK)

    if kind == "difference":
        question = f"How much higher is the higher one of the {a} and the {b} bar than the other?"
        answer = abs(data["bars"][a] - data["bars"][b])
    else:
        question = f"What is the sum of all bars that are higher than the {a} one?"
        answer = sum(h for h in heights if h > data["bars"][a])
    return Puzzle(f"Look at the chart. {question}", str(answer), data, draw=draw)


def solve_bars(data: dict[str, Any]) -> set[str]:
    """By counting upwards, unit by unit."""
    bars, a, b = data["bars"], data["bars"][data["a"]], data["bars"][data["b"]]
    if data["kind"] == "difference":
        between = [level for level in range(10) if (level < a) != (level < b)]
        return {str(len(between))}
    return {str(sum(1 for h in bars.values() if h > a for _ in range(h)))}


PICTURE_FAMILIES = [
    Family("latin_square", make_latin, solve_latin),
    Family("colour_ring", make_pattern, solve_pattern),
    Family("maze", make_maze, solve_maze),
    Family("shortest_road", make_roads, solve_roads),
    Family("bar_chart", make_bars, solve_bars),
]
