"""Puzzles told in words: knights and knaves, orders, assignments, culprits, numbers, sets."""

from __future__ import annotations

from itertools import combinations, permutations, product
from typing import Any

import numpy as np

from ovr_plugin.data.logic.puzzle import NAMES, Family, Puzzle, integer, integers, pick


def make_knights(rng: np.random.Generator, level: int) -> Puzzle:
    """Knights tell the truth, knaves lie: who is what? Statements are drawn until that is clear."""
    people = pick(rng, NAMES, level + 2)
    truth = [bool(x) for x in rng.integers(0, 2, len(people))]
    said: list[tuple[int, str, int, int]] = []
    while len(_knights({"n": len(people), "said": said})) > 1:
        speaker = integer(rng, 0, len(people))
        a, b = (int(x) for x in rng.permutation(len(people))[:2])
        kinds = ("is", "isnt", "same", "differ")
        fitting = [k for k in kinds if _claim(truth, k, a, b) == truth[speaker]]
        said.append((speaker, fitting[integer(rng, 0, len(fitting))], a, b))
    asked = integer(rng, 0, len(people))
    phrase = {
        "is": "{a} is a knight",
        "isnt": "{a} is a knave",
        "same": "{a} and {b} are of the same kind",
        "differ": "{a} and {b} are of different kinds",
    }
    lines = [
        f'{people[s]} says: "{phrase[k].format(a=people[a], b=people[b])}."' for s, k, a, b in said
    ]
    return Puzzle(
        "On an island knights always tell the truth and knaves always lie. "
        f"{', '.join(people)} live there.\n" + "\n".join(lines) + f"\nWhat is {people[asked]}?",
        "knight" if truth[asked] else "knave",
        {"n": len(people), "said": said, "asked": asked},
        answer_type="text",
        choices=["knight", "knave"],
    )


def _claim(truth: list[bool] | tuple[bool, ...], kind: str, a: int, b: int) -> bool:
    return {
        "is": truth[a],
        "isnt": not truth[a],
        "same": truth[a] == truth[b],
        "differ": truth[a] != truth[b],
    }[kind]


def _knights(data: dict[str, Any]) -> list[tuple[bool, ...]]:
    return [
        truth
        for truth in product([True, False], repeat=data["n"])
        if all(_claim(truth, k, a, b) == truth[s] for s, k, a, b in data["said"])
    ]


def solve_knights(data: dict[str, Any]) -> set[str]:
    """By trying every assignment."""
    return {"knight" if truth[data["asked"]] else "knave" for truth in _knights(data)}


def make_order(rng: np.random.Generator, level: int) -> Puzzle:
    """A queue from clues such as "stands somewhere before"; asked for one place."""
    people = pick(rng, NAMES, level + 2)
    place = {name: n for n, name in enumerate(people)}
    clues: list[tuple[str, str, str, int]] = []
    left = _orders({"people": sorted(people), "clues": []})
    while len(left) > 1:
        a, b = pick(rng, people, 2)
        apart = place[b] - place[a]
        clue = ("gap", a, b, abs(apart) - 1) if rng.integers(3) == 0 else ("before", a, b, 0)
        fitting = [order for order in left if _fits(order, clue)]
        if (clue[0] == "gap" or apart > 0) and len(fitting) < len(left):
            clues.append(clue)
            left = fitting
    asked = integer(rng, 0, len(people))
    lines = [
        f"{a} stands somewhere before {b}."
        if kind == "before"
        else f"Exactly {n} {'person stands' if n == 1 else 'people stand'} between {a} and {b}."
        for kind, a, b, n in clues
    ]
    return Puzzle(
        f"{len(people)} people stand in a queue: {', '.join(sorted(people))}.\n"
        + "\n".join(lines)
        + f"\nWho stands at place {asked + 1}, counted from the front?",
        people[asked],
        {"people": sorted(people), "clues": clues, "place": asked},
        answer_type="text",
    )


def _orders(data: dict[str, Any]) -> list[tuple[str, ...]]:
    return [
        order
        for order in permutations(data["people"])
        if all(_fits(order, clue) for clue in data["clues"])
    ]


def _fits(order: tuple[str, ...], clue: tuple[str, str, str, int]) -> bool:
    kind, a, b, n = clue
    apart = order.index(b) - order.index(a)
    return apart > 0 if kind == "before" else abs(apart) - 1 == n


def solve_order(data: dict[str, Any]) -> set[str]:
    """By trying every order."""
    return {order[data["place"]] for order in _orders(data)}


def make_assignment(rng: np.random.Generator, level: int) -> Puzzle:
    """Who has which pet and lives in which city (a small zebra puzzle)."""
    n = 3 + (level > 2)
    people = pick(rng, NAMES, n)
    pets = pick(rng, ["cat", "dog", "fish", "hamster", "parrot", "turtle"], n)
    cities = pick(rng, ["Lima", "Oslo", "Paris", "Quito", "Rome", "Tokyo"], n)
    clues: list[tuple[str, str, str]] = []
    data = {"people": people, "pets": sorted(pets), "cities": sorted(cities)}
    left = _assignments({**data, "clues": []})
    share_positive = 0.6 - 0.1 * level
    while len(left) > 1:
        i, j = integers(rng, 0, n, 2)
        kind = pick(rng, ["pet", "city", "link"], 1)[0]
        one = pets[i] if kind == "link" else people[i]
        two = pets[j] if kind == "pet" else cities[j]
        clue = (f"{'' if i == j else 'not '}{kind}", one, two)
        fitting = [tables for tables in left if _agrees(tables, clue)]
        if (i == j) == bool(rng.random() < share_positive) and len(fitting) < len(left):
            clues.append(clue)
            left = fitting
    phrase = {"pet": "{a} has the {b}", "city": "{a} lives in {b}"}
    phrase["link"] = "The owner of the {a} lives in {b}"
    denied = {"pet": "{a} does not have the {b}", "city": "{a} does not live in {b}"}
    denied["link"] = "The owner of the {a} does not live in {b}"
    lines = [
        (denied if kind.startswith("not ") else phrase)[kind.removeprefix("not ")].format(a=a, b=b)
        for kind, a, b in clues
    ]
    asked = integer(rng, 0, n)
    return Puzzle(
        f"{', '.join(people)} each have one of these pets: {', '.join(sorted(pets))}; and each "
        f"live in one of these cities: {', '.join(sorted(cities))}. No two share a pet or a city.\n"
        + ".\n".join(lines)
        + f".\nIn which city does the owner of the {pets[asked]} live?",
        cities[asked],
        {**data, "clues": clues, "asked": pets[asked]},
        answer_type="text",
    )


Tables = dict[str, dict[str, str]]


def _assignments(data: dict[str, Any]) -> list[Tables]:
    """Pet and city of each person, and city of each pet, in every solution."""
    found = []
    for pets in permutations(data["pets"]):
        for cities in permutations(data["cities"]):
            tables = {
                "pet": dict(zip(data["people"], pets, strict=True)),
                "city": dict(zip(data["people"], cities, strict=True)),
                "link": dict(zip(pets, cities, strict=True)),
            }
            if all(_agrees(tables, clue) for clue in data["clues"]):
                found.append(tables)
    return found


def _agrees(tables: Tables, clue: tuple[str, str, str]) -> bool:
    kind, a, b = clue
    return (tables[kind.removeprefix("not ")][a] == b) != kind.startswith("not ")


def solve_assignment(data: dict[str, Any]) -> set[str]:
    """By trying every assignment."""
    return {tables["link"][data["asked"]] for tables in _assignments(data)}


def make_liars(rng: np.random.Generator, level: int) -> Puzzle:
    """Exactly one did it and exactly k statements are true: who?"""
    while True:
        n = level + 3
        people = pick(rng, NAMES, n)
        guilty = integer(rng, 0, n)
        said = [(int(rng.integers(n)), bool(rng.integers(2))) for _ in range(n)]
        n_true = sum((who == guilty) == yes for who, yes in said)
        data = {"people": people, "said": said, "n_true": n_true}
        if len(solve_liars(data)) == 1:
            break
    lines = [
        f'{name} says: "{people[who]} {"broke" if yes else "did not break"} the vase."'
        for name, (who, yes) in zip(people, said, strict=True)
    ]
    return Puzzle(
        f"Exactly one of {', '.join(people)} broke a vase.\n"
        + "\n".join(lines)
        + f"\nExactly {n_true} of these {n} statements {'is' if n_true == 1 else 'are'} true. "
        "Who broke the vase?",
        people[guilty],
        data,
        answer_type="text",
    )


def solve_liars(data: dict[str, Any]) -> set[str]:
    """By trying every culprit."""
    return {
        name
        for place, name in enumerate(data["people"])
        if sum((who == place) == yes for who, yes in data["said"]) == data["n_true"]
    }


def make_sequence(rng: np.random.Generator, level: int) -> Puzzle:
    """A stated recurrence, followed further than one wants to by hand."""
    order = 1 + (level > 2)
    factors = integers(rng, 1, 3 + level, order)
    shift, modulus = integer(rng, 1, 10), integer(rng, 50, 200)
    start = integers(rng, 1, 10, order)
    n = 4 + 2 * level
    data = {"factors": factors, "shift": shift, "modulus": modulus, "start": start, "n": n}
    terms = list(start)
    while len(terms) < n:
        terms.append(
            (sum(f * t for f, t in zip(factors, terms[::-1], strict=False)) + shift) % modulus
        )
    before = ["the term before it", "the one before that"]
    rule = " plus ".join(f"{f} times {b}" for f, b in zip(factors, before, strict=False))
    known = ", ".join(map(str, start))
    return Puzzle(
        f"A sequence starts with {known}. Every further term is the remainder, on division by "
        f"{modulus}, of {rule} plus {shift}. What is term number {n} (the first is number 1)?",
        str(terms[-1]),
        data,
    )


def solve_sequence(data: dict[str, Any]) -> set[str]:
    """By powers of the recurrence's matrix, not by following it."""
    order = len(data["factors"])
    step = [[0] * (order + 1) for _ in range(order + 1)]
    step[0] = [*data["factors"], data["shift"]]
    for row in range(1, order):
        step[row][row - 1] = 1
    step[order][order] = 1
    state = [*data["start"][::-1], 1]
    power, exponent = step, data["n"] - order
    while exponent:
        if exponent % 2:
            state = [sum(a * b for a, b in zip(row, state, strict=True)) for row in power]
        power = [
            [sum(row[k] * power[k][c] for k in range(order + 1)) for c in range(order + 1)]
            for row in power
        ]
        exponent //= 2
    return {str(state[0] % data["modulus"])}


def make_coins(rng: np.random.Generator, level: int) -> Puzzle:
    """In how many ways can an amount be paid?"""
    coins = sorted(pick(rng, [1, 2, 3, 5, 7, 10, 12], 2 + (level > 2) + (level > 4)))
    amount = integer(rng, 10 * level, 10 * level + 20)
    ways = [1] + [0] * amount
    for coin in coins:
        for total in range(coin, amount + 1):
            ways[total] += ways[total - coin]
    named = ", ".join(map(str, coins[:-1])) + f" and {coins[-1]}"
    return Puzzle(
        f"In how many ways can exactly {amount} be paid with coins of {named}? Any number of each "
        "may be used, and the order does not matter.",
        str(ways[amount]),
        {"coins": coins, "amount": amount},
    )


def solve_coins(data: dict[str, Any]) -> set[str]:
    """By trying all counts of all coins but the last."""
    *most, last = data["coins"]
    counts = product(*(range(data["amount"] // coin + 1) for coin in most))
    rests = (data["amount"] - sum(a * b for a, b in zip(c, most, strict=True)) for c in counts)
    return {str(sum(rest >= 0 and rest % last == 0 for rest in rests))}


def make_clubs(rng: np.random.Generator, level: int) -> Puzzle:
    """Members of three clubs: inclusion and exclusion, backwards or forwards."""
    regions = dict(zip(range(1, 8), integers(rng, 1, 6 * level + 4, 7), strict=True))
    outside = integer(rng, 0, 5 * level)
    clubs = ["chess", "music", "rowing"]
    sizes = [sum(v for k, v in regions.items() if k >> i & 1) for i in range(3)]
    pairs = {
        (i, j): sum(v for k, v in regions.items() if k >> i & 1 and k >> j & 1)
        for i, j in combinations(range(3), 2)
    }
    total = sum(regions.values()) + outside
    lines = [f"{sizes[i]} are in the {clubs[i]} club" for i in range(3)]
    lines += [f"{n} are in both {clubs[i]} and {clubs[j]}" for (i, j), n in pairs.items()]
    data = {"sizes": sizes, "pairs": list(pairs.values()), "total": total, "all": regions[7]}
    if level < 3:
        question, answer = "How many are in none of the clubs?", outside
        lines.append(f"{regions[7]} are in all three")
    else:
        question, answer = "How many are in all three clubs?", regions[7]
        lines.append(f"{outside} are in none of the clubs")
        data = {**data, "all": None, "outside": outside}
    return Puzzle(f"Of {total} pupils, " + "; ".join(lines) + f". {question}", str(answer), data)


def solve_clubs(data: dict[str, Any]) -> set[str]:
    """By trying all sizes of the middle and building every region from it."""
    found = set()
    for middle in range(min(data["pairs"]) + 1):
        ab, ac, bc = (pair - middle for pair in data["pairs"])
        a, b, c = data["sizes"]
        alone = (a - ab - ac - middle, b - ab - bc - middle, c - ac - bc - middle)
        outside = data["total"] - sum(alone) - ab - ac - bc - middle
        if min(*alone, outside) < 0:
            continue
        if data["all"] is None and outside == data["outside"]:
            found.add(str(middle))
        if data["all"] == middle:
            found.add(str(outside))
    return found


WORD_FAMILIES = [
    Family("knights_and_knaves", make_knights, solve_knights),
    Family("queue_order", make_order, solve_order),
    Family("pets_and_cities", make_assignment, solve_assignment),
    Family("one_culprit", make_liars, solve_liars),
    Family("recurrence", make_sequence, solve_sequence),
    Family("coin_change", make_coins, solve_coins),
    Family("three_clubs", make_clubs, solve_clubs),
]
