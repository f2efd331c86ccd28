"""Checks that every registered method passes, each a function of (entry, modalities, seed)."""

from __future__ import annotations

import inspect
import json
import math
import re
import tempfile
import warnings
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, fields, replace
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch

from equipoise.batch import Batch
from equipoise.configuration.layers import make_settings
from equipoise.data.table.table import Table
from equipoise.evaluation.predict import predict
from equipoise.methods import METHODS
from equipoise.registry import MethodEntry
from equipoise.runs.run import Run, train
from equipoise.settings import Settings
from equipoise.testing.options import check_refusals
from equipoise.testing.ranks import ROUNDING, leave_if_starting, rank_difference
from equipoise.testing.registered import registered
from equipoise.testing.world import (
    NAMES,
    OPTIMISER,
    World,
    differing,
    farthest,
    fresh_seed,
    small_splits,
    snapshot,
)
from equipoise.training.context import Context
from equipoise.training.method import Method
from equipoise.training.observer import Silent

Check = Callable[[MethodEntry, int, int], None]


def check_trains(entry: MethodEntry, count: int, seed: int) -> None:
    """1. It learns easy data in float32, float64 and bfloat16 autocast; parameters stay finite.

    In float32 it trains to the end, in the others until it has learned. Gradients are clipped if
    the entry of the method advises it.
    """
    optimiser = {**OPTIMISER, "clip": entry.advises.get("optimiser.clip", OPTIMISER["clip"])}
    for precision in ("float32", "float64", "bfloat16"):
        world = World(
            entry.name,
            count,
            seed,
            precision=precision,
            epochs=12,
            settings={"optimiser": optimiser},
        )
        with torch.random.fork_rng():
            method, ctx = world.build()
            if precision != "float32":
                ctx.observer = _UntilLearned(ctx, world.data().validation)
            _fit(method, ctx, world.epochs)
        values = snapshot(ctx.model)
        assert all(torch.isfinite(v).all() for v in values.values() if v.is_floating_point()), (
            f"not finite in {precision}"
        )
        ctx.model.float()
        table = world.data().validation
        right = predict(ctx.model, table).fused.argmax(1) == table.label
        assert right.mean() > LEARNED, (
            f"{precision}: {right.mean():.2f} right on easy data of three classes"
        )


LEARNED = 0.6
"""Fraction of easy samples of three classes that are right once something is learned."""


class _UntilLearned(Silent):
    """Stops a training once so many samples of a table are right."""

    def __init__(self, ctx: Context, table: Table) -> None:
        self.ctx = ctx
        # As those of the training: it may be one that casts.
        self.loader = type(ctx.train)(table, len(table), seed=0, shuffle=False)
        self.right = 0.0

    def record(self) -> None:
        model = self.ctx.model
        if self.ctx.plan.selectable(self.ctx.position.epoch):
            (right,) = self.ctx.over(self.loader, lambda b: model(b).fused.argmax(1) == b.label)
            self.right = float(right.double().mean())

    def stopped(self) -> bool:
        return self.right > LEARNED


def check_ranks(entry: MethodEntry, count: int, seed: int) -> None:
    """2. Two ranks end with the parameters and memory of one process.

    Cells are missing, and the ranks' parts of a batch are unequal.
    """
    worst = rank_difference([World(entry.name, count, seed, missing=0.4, precision="float64")])[0]
    assert worst < ROUNDING, f"two ranks and one process differ by {worst:.1e}"


def check_resume(entry: MethodEntry, count: int, seed: int) -> None:
    """3. Killed at any batch and resumed, a run ends bit-identical to an uninterrupted one.

    It has logged the same values in every epoch, too, and counted the same passes.
    """
    resumes(World(entry.name, count, seed, missing=0.2, epochs=3, settings={"checkpoint_every": 2}))


def resumes(world: World) -> None:
    """Kill a run of this world at three random batches and resume it; all bits must agree."""
    splits = world.data()
    settings = world.run_settings()
    with tempfile.TemporaryDirectory() as scratch:
        counting = _CountingTable.of(splits.train)
        counted = replace(splits, train=counting)
        run = train(settings, Path(scratch) / "whole", splits=counted)
        whole = _final(run.folder)
        told = _told(run)
        reads = len(counting.reads)
        for kill in sorted({*np.random.default_rng(world.seed).integers(1, reads, 3).tolist()}):
            folder = Path(scratch) / f"killed-{kill}"
            with suppress(_Killed):
                train(
                    settings,
                    folder,
                    splits=replace(splits, train=_CountingTable.of(splits.train, limit=kill)),
                )
            again = train(settings, folder, splits=splits, resume=True)
            moved = differing(whole, _final(again.folder))
            where = f"killed at read {kill} of {reads} and resumed"
            assert not moved, f"{where}, {moved[0]} differs"
            assert _told(again) == told, f"{where}, it logs or counts something else"


def _told(run: Run) -> list[Any]:
    """All that a run logged in its epochs, and its passes; not the time it took."""
    lines = (run.folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    epochs = [{k: v for k, v in json.loads(line).items() if k != "seconds"} for line in lines]
    return [*epochs, *(run.result["cost"][f"{kind}_passes"] for kind in ("forward", "backward"))]


def check_missing(entry: MethodEntry, count: int, seed: int) -> None:
    """4. An all-present mask changes nothing; a batch does not train modalities it lacks."""
    plain = World(entry.name, count, seed)
    splits = plain.data()
    everything = {m: np.ones(len(splits.train), dtype=bool) for m in splits.train.modalities}
    masked = replace(plain, splits=replace(splits, train=splits.train.with_present(everything)))
    moved = differing(snapshot(plain.train()[1].model), snapshot(masked.train()[1].model))
    assert not moved, f"an all-present mask changes {moved}"
    _check_absent_batch(replace(plain, missing=0.3))


def _check_absent_batch(world: World) -> None:
    method, ctx = world.train()
    batch = next(ctx.train.batches(0))
    for modality in ctx.model.modalities:
        present = {m: torch.full_like(p, m != modality) for m, p in batch.present.items()}
        inputs = {
            m: x if m != modality else torch.zeros_like(cast(torch.Tensor, x))
            for m, x in batch.inputs.items()
        }
        group = ctx.model.group(modality)
        before = [p.detach().clone() for p in (*group.encoder, *group.head)]
        ctx.model.train()
        method.step(Batch(inputs, present, batch.label, batch.index), ctx)
        moved = [
            not torch.equal(a, b)
            for a, b in zip(before, (*group.encoder, *group.head), strict=True)
        ]
        assert not any(moved), (
            f"{modality!r} was absent from the whole batch, and its parameters moved"
        )


def check_predictions(entry: MethodEntry, count: int, seed: int) -> None:
    """5. A prediction depends neither on the batch size nor on the order of the samples."""
    world = World(entry.name, count, seed, missing=0.3)
    model = world.train()[1].model
    table = small_splits(count, seed, missing=0.3).train
    whole = predict(model, table).fused
    order = np.random.default_rng(seed).permutation(len(table))
    assert np.allclose(predict(model, table, batch_size=7).fused, whole, atol=1e-5), (
        "the batch size matters"
    )
    assert np.allclose(predict(model, table.take(order)).fused, whole[order], atol=1e-5), (
        "the order matters"
    )


def check_neutral(entry: MethodEntry, count: int, seed: int) -> None:
    """6. At its neutral setting it equals the method that it generalises, bit for bit."""
    if entry.neutral is None:
        return
    neutral = World(entry.name, count, seed, options=entry.neutral, head=entry.head)
    other = World(entry.neutral_of, count, seed, head=entry.head)
    moved = differing(snapshot(neutral.train()[1].model), snapshot(other.train()[1].model))
    assert not moved, (
        f"with {dict(entry.neutral)} it differs from {entry.neutral_of!r} in {moved[0]}"
    )


def check_order(entry: MethodEntry, count: int, seed: int) -> None:
    """7. The order of the declared modalities does not matter, unless the entry says so."""
    if entry.ordered:
        return
    forward = World(entry.name, count, seed, precision="float64")
    splits = forward.data()
    backward = replace(forward, splits=splits.only(splits.train.modalities[::-1]))
    ends = []
    start: dict[str, torch.Tensor] = {}
    for world in (forward, backward):
        with torch.random.fork_rng():
            method, ctx = world.build()
            start = start or snapshot(ctx.model)
            ctx.model.load_state_dict(start)
            _fit(method, ctx, world.epochs)
        ends.append(snapshot(ctx.model))
    worst = farthest(*ends)
    assert worst < ROUNDING, f"declared in reverse the modalities end {worst:.1e} apart"


class _Alone(Silent):
    """Keeps weights and memory at the end of each epoch, and has no validation split to read."""

    def __init__(self, method: Method, ctx: Context) -> None:
        self.method = method
        self.ctx = ctx
        self.asked = False
        self.end: dict[str, torch.Tensor] = {}

    def best_weights(self) -> None:
        self.asked = True

    def record(self) -> None:
        self.end = {**snapshot(self.ctx.model), **snapshot(self.method)}


def check_test_split(entry: MethodEntry, count: int, seed: int) -> None:
    """8. Training does not read the test split, and weights do not follow the validation split.

    Reading the test split raises here, and nothing may raise before training is over. Weights and
    memory are those of a training without validation, unless it goes on from the best epoch.
    """
    world = World(entry.name, count, seed, missing=0.2)
    splits = world.data()
    poisoned = replace(splits, test=_CountingTable.of(splits.test, limit=0))
    lines: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "run"
        try:
            train(world.run_settings(), folder, splits=poisoned, callbacks=[lines.append])
        except _Killed:
            pass
        else:
            raise AssertionError("the test split was never read, not even at the end")
        end = {n: tensor for n, tensor in _final(folder).items() if not n.startswith("kept.")}
    with torch.random.fork_rng():
        method, ctx = world.build()
        ctx.observer = alone = _Alone(method, ctx)
        _fit(method, ctx, world.epochs)
    assert len(lines) == ctx.position.epoch, "the test split was read before training was over"
    moved = [] if alone.asked else differing(alone.end, end)
    assert not moved, f"without a validation split {moved[0]} ends otherwise"


def check_cost(entry: MethodEntry, count: int, seed: int) -> None:
    """9. The declared passes are those counted; where they vary, there is at least one."""
    passes = World(entry.name, count, seed).train()[1].passes
    for kind in ("forward_passes", "backward_passes"):
        declared = getattr(entry, kind)
        measured = getattr(passes, kind)
        if declared is None:
            assert measured >= 1, f"{kind}: measured {measured}"
            continue
        assert math.isclose(declared, measured, rel_tol=1e-6), (
            f"{kind}: declared {declared}, measured {measured}"
        )


def check_construction(entry: MethodEntry, count: int, seed: int) -> None:
    """10. Its memory survives a round trip, and wrong options are refused with a ConfigError."""
    method, _ = World(entry.name, count, seed, missing=0.2).train()
    other, _ = World(entry.name, count, seed + 1).build()
    other.load_state_dict(method.state_dict())
    assert not differing(snapshot(method), snapshot(other)), (
        "state_dict does not hold the whole memory"
    )
    check_refusals(partial(METHODS.build, entry.name), entry.parameters())


def check_entry(entry: MethodEntry, count: int, seed: int) -> None:
    """11. The registry entry is complete."""
    assert entry.summary, "no summary"
    assert issubclass(entry.load(), Method), f"{entry.target} is no Method"
    if entry.paper:
        assert entry.year, "a paper without a year"
        assert entry.url.startswith("https://"), "a paper without a link"
    built = cast(Method, METHODS.build(entry.name))
    assert built.needs_holdout == entry.needs_holdout, (
        "needs_holdout differs between entry and class"
    )


def check_documentation(entry: MethodEntry, count: int, seed: int) -> None:
    """12. Its header cites the paper, and its docstring explains every option."""
    cls = entry.load()
    text = inspect.getdoc(inspect.getmodule(cls)) or ""
    assert len(text) > 80, (
        "the module's header says too little; it is the method's page: "
        "what it does, whose equations"
    )
    if entry.paper:
        author = re.split(r", | et |\. ", entry.paper)[0]
        assert author in text, f"the module's header does not cite {author}"
    explained = "\n".join(inspect.getdoc(c) or "" for c in cls.__mro__ if issubclass(c, Method))
    for option in entry.parameters():
        assert f"{option}:" in explained, f"option {option!r} is not explained"


def check_acts(entry: MethodEntry, count: int, seed: int) -> None:
    """13. At the defaults it does something, and learns as much as its best modality alone.

    The settings are those that a user gets who gives none, but for smaller encoders. Networks that
    were trained on one modality each say how much there is to learn.
    """
    names = NAMES[:count]
    found = _at_defaults(entry.name, entry.head, names, seed)
    plainly = Settings().method["name"]
    alone = [_at_defaults(plainly, "auto", names, seed, (name,)).result for name in names]
    best = max(result["test"]["fused"]["accuracy"] for result in alone)
    fused = found.result["test"]["fused"]["accuracy"]
    assert fused >= best - SLACK, (
        f"{fused:.3f} right at the defaults, and {best:.3f} by the best modality alone"
    )
    # A head that is trained jointly, and a method without its ingredients, are joint training.
    other = cast(MethodEntry, METHODS[entry.neutral_of])
    if entry.target != other.target and entry.neutral != {}:
        plain = _at_defaults(entry.neutral_of, entry.head, names, seed)
        known = [name for name in plain.weights if name in found.weights]  # the model's
        ours = {name: found.weights[name] for name in known}
        assert differing(ours, {name: plain.weights[name] for name in known}), (
            f"at the defaults it ends with the weights of {entry.neutral_of!r}: it never acts"
        )


SLACK = 0.06
"""Fraction of the test samples, twice the standard deviation of the accuracies of the check."""


@dataclass(frozen=True)
class _Finished:
    """A result, and the weights at the end of the last epoch."""

    result: dict[str, Any]
    weights: dict[str, torch.Tensor]


@lru_cache(maxsize=16)
def _at_defaults(
    method: str,
    head: str,
    modalities: tuple[str, ...],
    seed: int,
    shown: tuple[str, ...] | None = None,
) -> _Finished:
    """Train at the defaults, on some modalities of data of which none tells everything."""
    shown = shown or modalities
    encoders = {name: {"name": "mlp", "hidden": [16], "width": 16} for name in shown}
    settings = make_settings(
        [{"method": method, "head": head, "encoder": encoders, "seed": seed, "device": "cpu"}]
    )
    splits = small_splits(len(modalities), seed, samples=900, strongest=2.0).only(shown)
    with tempfile.TemporaryDirectory() as scratch, warnings.catch_warnings():
        # Of a head that a method is not made for, where two methods are compared under one.
        warnings.simplefilter("ignore")
        run = train(settings, Path(scratch) / "run", splits=splits)
        weights = {n: t for n, t in _final(run.folder).items() if not n.startswith("kept.")}
    return _Finished(run.result, weights)


CHECKS: tuple[Check, ...] = (
    check_trains,
    check_ranks,
    check_resume,
    check_missing,
    check_predictions,
    check_neutral,
    check_order,
    check_test_split,
    check_cost,
    check_construction,
    check_entry,
    check_documentation,
    check_acts,
)


def check_method(
    method: str | MethodEntry | type[Method],
    *,
    modalities: Sequence[int] = (2, 3),
    seed: int | None = None,
) -> None:
    """Run all thirteen checks on a method, which takes about two minutes.

    Two processes are started that import the calling script, which therefore calls this under
    `if __name__ == "__main__":`; pytest needs no such line.

    Args:
        method: registered name, entry, or class (its constructor must need no argument). A class is
            checked with the facts that an entry has by default: one forward and one backward pass,
            head `concat`, no holdout.
        modalities: numbers of modalities to check with.
        seed: seed of data and initialisation; None draws one.

    Raises:
        AssertionError: a check failed; the message names it, the number of modalities and the seed.
        ConfigError: the method is unknown, or other processes cannot import it.
    """
    leave_if_starting()
    entry = cast(MethodEntry, registered(method, METHODS))
    seed = fresh_seed() if seed is None else seed
    for count in modalities:
        for check in CHECKS:
            try:
                check(entry, count, seed)
            except AssertionError as error:
                where = f"{entry.name}, {check.__name__}, {count} modalities, seed {seed}"
                raise AssertionError(f"{where}: {error}") from error


class _Killed(BaseException):
    """Ends a run as suddenly as a signal does: no handler for exceptions catches it."""


@dataclass(frozen=True, eq=False)
class _CountingTable(Table):
    """A table that counts its reads, and kills the reader at a limit.

    Attributes:
        limit: number of reads that are allowed; None for any.
        reads: the epoch of each read so far, also of tables made from this one.
    """

    limit: int | None = None
    reads: list[int] = field(default_factory=list)

    @classmethod
    def of(cls, table: Table, limit: int | None = None) -> _CountingTable:
        values = {f.name: getattr(table, f.name) for f in fields(Table) if f.init}
        return cls(**values, limit=limit)

    def rows(self, indices: np.ndarray, epoch: int = 0) -> Batch:
        if self.limit is not None and len(self.reads) >= self.limit:
            raise _Killed
        self.reads.append(epoch)
        return super().rows(indices, epoch)


def _final(folder: Path) -> dict[str, torch.Tensor]:
    """Model and method of the newest checkpoint of a finished run, and the weights it keeps."""
    from safetensors.torch import load_file

    newest = sorted((folder / "checkpoints").glob("epoch-*"))[-1]
    (best,) = (folder / "checkpoints").glob("best-epoch-*")
    kept = load_file(best / "model.safetensors")
    return {
        **load_file(newest / "model.safetensors"),
        **load_file(newest / "method.safetensors"),
        **{f"kept.{name}": tensor for name, tensor in kept.items()},
    }


def _fit(method: Method, ctx: Any, epochs: int) -> None:
    from equipoise.training.loop import fit

    fit(method, ctx, epochs)
