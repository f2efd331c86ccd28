"""The choice at the end of a search: candidates, their temperatures and their weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from equipoise.errors import TrainingError
from equipoise.portfolio.blended import Ranked, Recipe
from equipoise.portfolio.ensemble import (
    Blend,
    cross_fitted,
    log_loss,
    log_softmax,
    temperature,
)
from equipoise.portfolio.joined import Stack, fit_stack, late_average, late_sets, stack_inputs
from equipoise.portfolio.members import NETWORK
from equipoise.portfolio.search import Search
from equipoise.portfolio.trials import LOOK

MOST = 40
"""The most candidates that weights are chosen for, the best by log-loss."""
PARTS = 5
"""Parts of the held-out rows for the cross-fitted estimate, where there is one fold."""
UNLIKELY = 4.0
"""Standard errors by which validation rows are harder to predict before they count as different."""
STACKED = 3
"""The most sets of members that are stacked, those with the best averages."""
STACKING = 0.04
"""Fraction of the time limit after which no further set is stacked."""


@dataclass(frozen=True)
class Candidate:
    """A member, or members joined over the modalities, with its held-out predictions.

    Attributes:
        name: of it.
        parts: the members.
        temperatures: of the parts.
        logits: (N, C) of the held-out rows.
        available: bool (N,), where it has an opinion.
        seconds: that its trials took.
        stack: joins the parts; None where they are averaged, or where there is only one.
    """

    name: str
    parts: tuple[str, ...]
    temperatures: tuple[float, ...]
    logits: np.ndarray
    available: np.ndarray
    seconds: float
    stack: Stack | None = None


@dataclass(frozen=True)
class Chosen:
    """The outcome of the search before the last fits.

    Attributes:
        recipe: weights and temperatures.
        rows: (N,) held-out rows of the material, on which the weights were chosen.
        fused: (N, C) probabilities that are cross-fitted over the held-out rows.
        alone: {modality: (N, C) logits of its best member}.
        folds: that the rows come from.
        stacks: {candidate: what joins its parts}.
        apart: the validation rows differ from the training rows, and were judged by alone.
    """

    recipe: Recipe
    rows: np.ndarray
    fused: np.ndarray
    alone: Mapping[str, np.ndarray]
    folds: Sequence[int]
    stacks: Mapping[str, Stack]
    apart: bool


def choose(search: Search, seconds: float = float("inf")) -> Chosen:
    """Choose temperatures and weights on the rows that members were held out from.

    Args:
        search: that ended.
        seconds: that the last fits may take; candidates that make them longer weigh nothing.

    Raises:
        TrainingError: no member was fitted in time.
    """
    material = search.material
    names, folds = _finished(search)
    if not names:
        errors = [f.error for f in search.findings.values() if f.error]
        reason = f"; the first failed with: {errors[0]}" if errors else ""
        raise TrainingError(
            f"no member of the portfolio was fitted in time{reason}; give a longer --time-limit"
        )
    apart = len(folds) > 1 and differs(search, names)
    if apart:
        names, folds = _looked_at(search), [search.first]
    rows = np.concatenate([material.looked_at[1] if k == LOOK else material.held(k) for k in folds])
    label = material.rows.label[rows]
    weight = material.weight[rows]
    seed = material.settings.seed
    part = material.fold[rows]
    if len(folds) == 1:
        part = np.random.default_rng(seed).permutation(np.arange(len(rows)) % PARTS)
    candidates = _candidates(search, names, folds, rows, part)
    logits = np.stack([c.logits for c in candidates])
    available = np.stack([c.available for c in candidates])
    blend = Blend.fit(logits, available, label, seed, weight)
    kept = _affordable(search, candidates, blend.weights, seconds)
    weights = np.zeros(len(candidates))
    weights[kept] = Blend.fit(logits[kept], available[kept], label, seed, weight).weights
    fused = cross_fitted(logits[kept], available[kept], label, part, seed, weight)
    board = [
        Ranked(
            c.name,
            c.parts,
            c.temperatures,
            float(blend.temperatures[k]),
            float(weights[k]),
            *_scores(c, float(blend.temperatures[k]), label, blend.prior),
            round(c.seconds, 2),
            c.stack is not None,
        )
        for k, c in enumerate(candidates)
    ]
    opinions = {m: _opinion(m, search, candidates, board) for m in material.rows.modalities}
    needed = {part for line in board if line.weight for part in line.parts}
    needed |= {name for name, _ in opinions.values()}
    members = [m for m in search.members.values() if m.name in needed]
    recipe = Recipe(
        sorted(board, key=lambda line: line.log_loss),
        members,
        {m.name: list(folds) for m in members if m.family == NETWORK},
        opinions,
        blend.prior.tolist(),
        len(material.trained(max(folds[0], 0))),
    )
    by_name = {c.name: c for c in candidates}
    alone = {
        m: by_name[name].logits / t if name in by_name else np.zeros((len(rows), material.classes))
        for m, (name, t) in opinions.items()
    }
    stacks = {c.name: c.stack for c in candidates if c.stack is not None}
    return Chosen(recipe, rows, fused, alone, folds, stacks, apart)


def _finished(search: Search) -> tuple[list[str], list[int]]:
    """The members to choose among, and the folds that all of them have predicted."""
    every = list(range(search.material.folds))
    complete = search.complete()
    if complete:
        return complete, every
    return _looked_at(search), [search.first]


def _looked_at(search: Search) -> list[str]:
    """The members that have ended their first look."""
    return [
        name
        for (name, fold), found in search.findings.items()
        if fold == search.first
        and not found.error
        and (fold != LOOK or search.members[name].family != NETWORK)
    ]


def differs(search: Search, names: Sequence[str]) -> bool:
    """True if the validation rows are clearly harder to predict than held-out training rows.

    Then they come from elsewhere (other speakers, another year), as new rows will, and how well a
    member predicts one training row from the others says little. They are judged by alone.

    Args:
        search: that ended.
        names: members that have predicted every fold.
    """
    material = search.material
    folds = range(material.folds)
    rows = np.concatenate([material.held(k) for k in folds])
    label = material.rows.label[rows]
    known = np.zeros(len(rows))
    total = np.zeros(len(rows))
    for name in names:
        logits = search.held(name, list(folds))
        here = search.members[name].sees(
            {m: found[rows] for m, found in material.features.present.items()}
        )
        log_p = log_softmax(logits / temperature(logits[here], label[here]))
        total -= np.where(here, log_p[np.arange(len(rows)), label], 0)
        known += here
    loss = total[known > 0] / known[known > 0]
    validation = material.fold[rows][known > 0] == 0
    later, earlier = loss[validation], loss[~validation]
    if min(len(later), len(earlier)) < 2:
        return False
    error = np.sqrt(later.var(ddof=1) / len(later) + earlier.var(ddof=1) / len(earlier))
    return bool(later.mean() - earlier.mean() > UNLIKELY * error)


def _candidates(
    search: Search, names: Sequence[str], folds: Sequence[int], rows: np.ndarray, part: np.ndarray
) -> list[Candidate]:
    material = search.material
    label = material.rows.label[rows]
    present = {m: here[rows] for m, here in material.features.present.items()}
    spent = {
        name: sum(f.seconds for (of, _), f in search.findings.items() if of == name)
        for name in names
    }
    found = {
        name: Candidate(
            name,
            (name,),
            (1.0,),
            search.held(name, folds),
            search.members[name].sees(present),
            spent[name],
        )
        for name in names
    }
    averages = [
        _average(late, [found[name] for name in parts], label)
        for late, parts in late_sets(search.members.values()).items()
        if all(name in found for name in parts)
    ]
    found |= {c.name: c for c in averages}
    prior = np.full(material.classes, 1 / material.classes)
    losses = {
        name: _scores(c, temperature(c.logits[c.available], label[c.available]), label, prior)[0]
        for name, c in found.items()
    }
    averages.sort(key=lambda c: losses[c.name])
    kept = sorted(found, key=lambda name: losses[name])[:MOST]
    # The best member of each modality alone gives that modality's opinion.
    for modality in material.rows.modalities:
        alone = [n for n in names if search.members[n].views == (modality,)]
        kept += sorted(alone, key=lambda name: losses[name])[:1]
    weight = material.weight[rows]
    stacked: list[Candidate] = []
    since = search.clock.spent
    for c in averages[:STACKED]:
        if search.clock.spent - since > STACKING * search.clock.limit:
            break
        parts = [found[name] for name in c.parts]
        stacked.append(_stacked(c, parts, label, material.classes, part, weight))
    return [*(found[name] for name in dict.fromkeys(kept)), *stacked]


def _average(name: str, parts: Sequence[Candidate], label: np.ndarray) -> Candidate:
    logits = [c.logits for c in parts]
    seen = [c.available for c in parts]
    fitted = [temperature(x[a], label[a]) for x, a in zip(logits, seen, strict=True)]
    return Candidate(
        name,
        tuple(c.name for c in parts),
        tuple(fitted),
        late_average(logits, seen, fitted),
        np.any(seen, axis=0),
        sum(c.seconds for c in parts),
    )


def _stacked(
    average: Candidate,
    parts: Sequence[Candidate],
    label: np.ndarray,
    classes: int,
    part: np.ndarray,
    weight: np.ndarray,
) -> Candidate:
    inputs = stack_inputs(
        [c.logits for c in parts], [c.available for c in parts], average.temperatures
    )
    stack, logits = fit_stack(inputs, label, classes, part, weight)
    return replace(
        average, name=average.name.replace("late-", "stack-", 1), logits=logits, stack=stack
    )


def _affordable(
    search: Search, candidates: Sequence[Candidate], weights: np.ndarray, seconds: float
) -> np.ndarray:
    """The candidates whose last fits fit into the time, those of most weight first.

    Returns:
        bool (K,). All are kept where all that weigh anything are, and the one of most weight
        always is.
    """
    kept = np.zeros(len(candidates), dtype=bool)
    fitted: set[str] = set()
    left = seconds
    for k in np.argsort(-weights, kind="stable"):
        if not weights[k]:
            break
        more = {name for name in candidates[k].parts if name not in fitted}
        cost = sum(search.refit_seconds(name) for name in more)
        kept[k] = cost <= left or not fitted
        if kept[k]:
            fitted |= more
            left -= cost
    return kept if (weights[~kept] > 0).any() else np.ones_like(kept)


def _scores(
    candidate: Candidate, t: float, label: np.ndarray, prior: np.ndarray
) -> tuple[float, float]:
    """Log-loss and accuracy; rows without an opinion get the prior."""
    probability = np.exp(log_softmax(candidate.logits / t))
    probability = np.where(candidate.available[:, None], probability, prior)
    accuracy = float((probability.argmax(axis=1) == label).mean())
    return round(log_loss(probability, label), 5), round(accuracy, 5)


def _opinion(
    modality: str, search: Search, candidates: Sequence[Candidate], board: Sequence[Ranked]
) -> tuple[str, float]:
    """The best member that reads this modality alone, and its temperature."""
    alone = [
        line
        for line, candidate in zip(board, candidates, strict=True)
        if candidate.name in search.members
        and search.members[candidate.name].views == (modality,)
        and search.members[candidate.name].family != NETWORK
    ]
    if alone:
        best = min(alone, key=lambda line: line.log_loss)
        return best.name, best.temperature
    spare = next(
        m for m in search.members.values() if m.views == (modality,) and m.family != NETWORK
    )
    return spare.name, 1.0
