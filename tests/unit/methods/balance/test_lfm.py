"""LFM with a given and with a learned weight."""

from __future__ import annotations

import copy
import json
import math
import warnings
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn
from torch.nn import functional as F

import equipoise
from equipoise.batch import Batch
from equipoise.data.modality import ModalitySpec
from equipoise.data.table.loader import Loader
from equipoise.data.table.table import Table
from equipoise.errors import ConfigError
from equipoise.methods import METHODS
from equipoise.methods.balance import lfm_learned
from equipoise.methods.balance.compose import Compose
from equipoise.methods.balance.lfm import LFM
from equipoise.methods.balance.lfm_learned import LFMLearned, Solution
from equipoise.methods.parts.aligned import Aligned
from equipoise.methods.parts.alignment import info_nce
from equipoise.methods.parts.losses import fused_loss
from equipoise.runs import run
from equipoise.settings import Settings
from equipoise.training.context import Context
from plain import plain

INPUTS = {"a": 3, "b": 4, "c": 2}


def named(count: int) -> dict[str, int]:
    return dict(list(INPUTS.items())[:count])


def table(inputs: dict[str, int], rows: int) -> Table:
    specs = {m: ModalitySpec(m, "vector", (width,)) for m, width in inputs.items()}
    arrays = {m: torch.randn(rows, width).numpy() for m, width in inputs.items()}
    present = {m: torch.ones(rows, dtype=torch.bool).numpy() for m in inputs}
    index = torch.arange(rows).numpy()
    label = torch.randint(4, (rows,)).numpy()
    return Table(
        specs,
        arrays,
        index,
        label,
        present,
        ["w", "x", "y", "z"],
        [str(row) for row in range(rows)],
    )


def held_out_context(
    model: nn.Module, rows: int = 24, epochs: int = 1, lr: float = 0.05
) -> Context:
    inputs = {m: encoder.layers[0].in_features for m, encoder in model.encoders.items()}
    train, held = (Loader(table(inputs, n), 8, seed=3, shuffle=True) for n in (rows, 12))
    return Context(model, train, holdout=held, optimiser=plain(lr=lr), epochs=epochs)  # type: ignore[arg-type]


def normalised(world: SimpleNamespace, inputs: dict[str, int]) -> nn.Module:
    model = world.model("concat", inputs)
    for encoder in model.encoders.values():
        encoder.layers.append(nn.BatchNorm1d(encoder.width))
    return model


def assert_same(model: nn.Module, other: nn.Module) -> None:
    for name, value in model.state_dict().items():
        assert torch.equal(value, other.state_dict()[name]), name


@pytest.mark.parametrize("count", [2, 3])
@pytest.mark.parametrize(
    "options", [{"alpha": "constant", "alpha_value": 0}, {"alpha": "stepwise", "alpha_value": 0.0}]
)
def test_alpha_zero_is_joint_training(
    seed: int, world: SimpleNamespace, count: int, options: dict
) -> None:
    model = normalised(world, named(count))
    other, start = copy.deepcopy(model), copy.deepcopy(model.state_dict())
    batches = [world.batch(named(count), absent={"b": [1, 2]}) for _ in range(3)]
    world.train(
        "lfm", world.context(model, batches, epochs=8), 4, **options
    )  # the first half of 8 epochs
    world.train("joint", world.context(other, batches, epochs=8), 4)
    assert_same(model, other)
    assert any(not torch.equal(value, start[name]) for name, value in model.state_dict().items())


def test_alpha_one_never_moves_the_head(seed: int, world: SimpleNamespace) -> None:
    model = world.model("concat", INPUTS)
    before = copy.deepcopy(model.state_dict())
    ctx = world.context(model, [world.batch(INPUTS)], weight_decay=0.0)
    world.train("lfm", ctx, alpha="constant", alpha_value=1.0)
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name]) == name.startswith("head"), name


@pytest.mark.parametrize("scale", [1.0, 2.0])
def test_the_loss_is_equation_1_with_the_weight_of_the_epoch(
    seed: int, world: SimpleNamespace, scale: float
) -> None:
    model = world.model("concat", named(2))
    batch = world.batch(named(2))
    ctx = world.context(model, [batch], epochs=4)
    output = model(batch)
    classification = F.cross_entropy(output.fused, batch.label)
    matching = info_nce(output.features["a"], output.features["b"], 0.2)
    for epoch, alpha in enumerate((0.632121, 0.393469, 0.283469)):
        ctx.position.epoch = epoch
        expected = scale * ((1 - alpha) * classification + alpha * matching)
        torch.testing.assert_close(
            LFM(temperature=0.2, loss_scale=scale).loss(output, batch, ctx), expected
        )


def test_the_weight_is_logged_for_every_epoch(seed: int, world: SimpleNamespace) -> None:
    ctx = world.context(world.model("concat", named(2)), [world.batch(named(2))], epochs=2)
    world.train("lfm", ctx, 2)
    assert ctx.read_journal()["method/alpha"] == pytest.approx((0.632121 + 0.393469) / 2, abs=1e-6)


@pytest.mark.parametrize("count", [2, 3])
@pytest.mark.parametrize("solver", ["cg", "minres", "neumann", "identity"])
def test_learned_weight_stays_in_its_bounds(
    seed: int, world: SimpleNamespace, count: int, solver: str
) -> None:
    for lr in (1e3, -1e3):
        method = LFMLearned(
            hypergradient=solver,
            alpha_init=0.5,
            alpha_bounds=(0.2, 0.7),
            alpha_reach=math.inf,
            outer_every=1,
        )
        method.alpha_lr = lr  # to either side, far too fast
        ctx = held_out_context(world.model("concat", named(count)))
        world.train(method, ctx)
        assert float(method.alpha) in (pytest.approx(0.2), pytest.approx(0.7))
        assert int(method.outer_iterations) == 3


def test_learned_weight_moves_against_the_hypergradient(
    seed: int, world: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    pretend(monkeypatch, [0.4, -1.0, 2.0])
    method = LFMLearned(alpha_init=0.5, alpha_lr=0.1, alpha_halving=1, alpha_reach=math.inf)
    world.train(method, held_out_context(world.model("concat", named(2))), 3)
    assert float(method.alpha) == pytest.approx(0.5 - 0.1 * 0.4 + 0.05 * 1.0 - 0.025 * 2.0)


def pretend(monkeypatch: pytest.MonkeyPatch, gradients: list[float]) -> None:
    """Let the outer iterations find these hypergradients."""
    given = iter(gradients)
    nothing = Solution(torch.zeros(1), torch.tensor(0.0), 0)
    monkeypatch.setattr(
        lfm_learned,
        "implicit_gradient",
        lambda *args, **kwargs: (torch.tensor(next(given)), nothing),
    )


@pytest.mark.parametrize(("every", "iterations"), [(0, 4), (1, 12)])
def test_no_outer_iteration_moves_the_weight_by_more_than_its_part_of_the_reach(
    seed: int,
    world: SimpleNamespace,
    monkeypatch: pytest.MonkeyPatch,
    every: int,
    iterations: int,
) -> None:
    pretend(monkeypatch, [5.0, -0.01] * (iterations // 2))
    method = LFMLearned(alpha_init=0.9, alpha_lr=1.0, alpha_reach=0.6, outer_every=every)
    world.train(method, held_out_context(world.model("concat", named(2)), epochs=4), 4)
    expected = 0.9 - (iterations / 2) * (0.6 / iterations - 0.01)
    assert float(method.alpha) == pytest.approx(expected)


class Read(nn.Module):
    """Reads the logits at once: an output computes them when they are asked for."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, batch: Batch) -> tuple[torch.Tensor, ...]:
        output = self.model(batch)
        return output.fused, output.features["a"], output.features["b"]


def dense(
    method: LFMLearned, ctx: Context, batch: Batch, others: Batch, alpha: float, damping: float
) -> float:
    """dα of Eq. 3 with the Hessian of the whole network written out."""
    model = Read(ctx.model)
    names = [name for name, _ in model.named_parameters()]
    shapes = [p.shape for p in model.parameters()]
    theta = torch.cat([p.detach().reshape(-1) for p in model.parameters()])

    def losses(at: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        parts = at.split([math.prod(shape) for shape in shapes])
        given = {n: x.view(s) for n, x, s in zip(names, parts, shapes, strict=True)}
        fused, first, second = torch.func.functional_call(model, given, (batch,))
        matching = info_nce(first, second, method.temperature)
        classification = F.cross_entropy(fused, batch.label)
        outer, _, _ = torch.func.functional_call(model, given, (others,))
        return classification, matching, F.cross_entropy(outer, others.label)

    def slope(which: int) -> torch.Tensor:
        at = theta.clone().requires_grad_()
        return torch.autograd.grad(losses(at)[which], at)[0]

    def total(at: torch.Tensor) -> torch.Tensor:
        classification, matching, _ = losses(at)
        return (1 - alpha) * classification + alpha * matching

    hessian = torch.autograd.functional.hessian(total, theta)
    largest = lfm_learned.largest_curvature(lambda v: hessian @ v, slope(2))
    matrix = hessian + damping * largest * torch.eye(len(theta))
    return float(-(slope(1) - slope(0)) @ torch.linalg.solve(matrix, slope(2)))


@pytest.mark.parametrize("alpha", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("outer_data", ["holdout", "train"])
def test_a_step_on_the_weight_is_equation_3_of_the_network(
    seed: int, world: SimpleNamespace, alpha: float, outer_data: str
) -> None:
    """Also at α = 0, where the alignment has no part in the loss but may have one again."""
    model = world.model("concat", named(2))
    ctx = held_out_context(model, rows=40)
    method = LFMLearned(
        hypergradient="minres", iterations=500, damping=0.3, alpha_init=alpha, outer_data=outer_data
    )
    method.setup(ctx)
    batch = method.draw(ctx.train, 0, ctx, stream=0)
    loader = ctx.holdout if outer_data == "holdout" else ctx.train
    others = method.draw(loader, 0, ctx, stream=1)
    expected = dense(method, ctx, batch, others, alpha, 0.3)
    method.learn(ctx)
    journal = ctx.read_journal()
    assert journal["method/dalpha"] == pytest.approx(expected, rel=0.05, abs=2e-3)
    assert journal["method/residual"] < 2e-3
    assert not torch.equal(batch.index, others.index)


def test_the_outer_loss_is_on_samples_held_out_unless_it_is_to_be_on_training_samples(
    seed: int, world: SimpleNamespace
) -> None:
    def gradients(outer_data: str, turn: str) -> float:
        torch.manual_seed(seed)
        ctx = held_out_context(world.model("concat", named(2)))
        turned = (ctx.holdout if turn == "holdout" else ctx.train).table.label
        turned[:] = (turned + 1) % 4
        method = LFMLearned(outer_data=outer_data)
        method.setup(ctx)
        # Only the outer loss reads labels at α = 1, so long as the hypergradient is not projected.
        others = method.draw(method.outer_loader(ctx), 0, ctx, stream=1)
        return float(fused_loss(ctx.model(others), others, ctx))

    assert gradients("holdout", "train") != gradients("holdout", "holdout")
    same = LFMLearned(outer_data="train")
    ctx = held_out_context(world.model("concat", named(2)))
    assert same.outer_loader(ctx) is ctx.train
    assert not same.needs_holdout
    assert LFMLearned().needs_holdout


def test_without_curvature_a_step_on_the_weight_is_a_product_of_gradients(
    seed: int, world: SimpleNamespace
) -> None:
    model = world.model("concat", named(2))
    ctx = held_out_context(model)
    method = LFMLearned(
        hypergradient="identity", alpha_init=0.5, alpha_lr=1e-3, alpha_reach=math.inf
    )
    method.setup(ctx)
    batch = method.draw(ctx.train, 0, ctx, stream=0)
    held = method.draw(ctx.holdout, 0, ctx, stream=1)
    assert not set(held.inputs["a"].flatten().tolist()) & set(ctx.train.table.arrays["a"].flat)
    parameters = list(model.parameters())
    classification, matching = method.terms(model(batch), batch, ctx)
    outer = F.cross_entropy(model(held).fused, held.label)
    options = {"retain_graph": True, "materialize_grads": True}
    slopes = [
        torch.cat([g.reshape(-1) for g in torch.autograd.grad(loss, parameters, **options)])
        for loss in (classification, matching, outer)
    ]
    method.learn(ctx)
    expected = 0.5 + 1e-3 * (slopes[1] - slopes[0]) @ slopes[2]
    torch.testing.assert_close(method.alpha, expected.detach(), rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize(("every", "iterations"), [(0, 4), (1, 12), (2, 6), (5, 2), (12, 1)])
def test_outer_iterations_come_every_so_many_steps(
    seed: int, world: SimpleNamespace, every: int, iterations: int
) -> None:
    method = LFMLearned(outer_every=every, alpha_lr=0.0, iterations=1)
    world.train(
        method, held_out_context(world.model("concat", named(2)), epochs=4), 4
    )  # 3 batches an epoch
    assert int(method.outer_iterations) == iterations


def test_a_weight_that_does_not_learn_is_a_constant_weight(
    seed: int, world: SimpleNamespace
) -> None:
    """Looking at held-out samples leaves no trace in the network, batch statistics included."""
    model = normalised(world, named(2))
    other = copy.deepcopy(model)
    ctx = held_out_context(model, epochs=2)
    same = Context(other, ctx.train, optimiser=plain(lr=0.05), epochs=2)  # type: ignore[arg-type]
    world.train("lfm-lb", ctx, 2, alpha_init=0.5, alpha_lr=0.0, outer_every=1)
    world.train("lfm", same, 2, alpha="constant", alpha_value=0.5)
    assert_same(model, other)


def test_outer_batches_differ_and_have_the_size_asked_for(
    seed: int, world: SimpleNamespace
) -> None:
    ctx = held_out_context(world.model("concat", named(2)))
    method = LFMLearned(outer_batch_size=5)
    first = method.draw(method.outer_loader(ctx), method.outer_batch_size, ctx, stream=1)
    again = method.draw(method.outer_loader(ctx), method.outer_batch_size, ctx, stream=1)
    ctx.position.step += 1
    second = method.draw(method.outer_loader(ctx), method.outer_batch_size, ctx, stream=1)
    assert len(first) == 5
    assert torch.equal(first.index, again.index)
    assert not torch.equal(first.index, second.index)


def test_inner_and_outer_batches_are_whole(
    seed: int, world: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last batch of an epoch has 3 rows here, and it is after that one that α moves."""
    sizes: list[int] = []
    monkeypatch.setattr(
        LFMLearned,
        "terms",
        lambda self, output, batch, ctx: (
            sizes.append(len(batch)) or Aligned.terms(self, output, batch, ctx)
        ),
    )
    ctx = held_out_context(world.model("concat", named(2)), rows=19)
    world.train(LFMLearned(iterations=1), ctx)
    assert sizes == [8, 8, 3, 8]


def test_without_held_out_samples_it_says_what_to_set(world: SimpleNamespace) -> None:
    ctx = world.context(world.model("concat", named(2)), [world.batch(named(2))])
    ctx.holdout = None
    with pytest.raises(ConfigError, match=r"set 'data\.holdout', or 'outer_data' to train"):
        LFMLearned().outer_loader(ctx)


def test_the_printed_polynomial_warns_where_it_ends_the_classification(
    world: SimpleNamespace,
) -> None:
    ctx = world.context(world.model("concat", named(2)), [], epochs=38)
    with pytest.warns(UserWarning, match="from epoch 38 on α is 1 and nothing is learned"):
        LFM(alpha="polynomial-printed").setup(ctx)
    with pytest.warns(UserWarning, match="from epoch 38 on α is 1 and nothing is learned"):
        Compose(alignment="infonce", alpha="polynomial-printed").setup(ctx)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        LFM(alpha="polynomial").setup(ctx)
        ctx.epochs = 37
        LFM(alpha="polynomial-printed").setup(ctx)


@pytest.mark.parametrize("build", [LFM, LFMLearned])
@pytest.mark.parametrize("alignment", ["infonce", "js", "kl-mean"])
def test_a_single_modality_is_refused(world: SimpleNamespace, build: type, alignment: str) -> None:
    ctx = world.context(world.model("concat", named(1)), [])
    with pytest.raises(
        ConfigError, match=rf"{build.__name__} aligns modalities .* only 'a'; use method 'joint'"
    ):
        build(alignment=alignment).setup(ctx)


@pytest.mark.parametrize(
    ("build", "option", "value"),
    [
        (LFM, "alpha", "linear"),
        (LFM, "alignment", "clip"),
        (LFM, "temperature", 0.0),
        (LFM, "loss_scale", -1.0),
        (LFM, "loss_scale", math.inf),
        (LFMLearned, "hypergradient", "newton"),
        (LFMLearned, "alpha_bounds", (0.9, 0.1)),
        (LFMLearned, "alpha_bounds", (0.1, 0.5, 0.9)),
        (LFMLearned, "alpha_bounds", (0.5,)),
        (LFMLearned, "alpha_init", 1.1),
        (LFMLearned, "iterations", 0),
        (LFMLearned, "iterations", 2.5),
        (LFMLearned, "damping", -0.1),
        (LFMLearned, "alpha_lr", -1.0),
        (LFMLearned, "outer_every", -1),
        (LFMLearned, "outer_every", 1.5),
        (LFMLearned, "outer_batch_size", 4.5),
        (LFMLearned, "alpha_halving", 2.5),
        (LFMLearned, "alpha_lr", math.inf),
        (LFMLearned, "alpha_reach", 0.0),
        (LFMLearned, "alpha_reach", math.nan),
        (LFMLearned, "outer_data", "validation"),
        (LFMLearned, "damping", math.inf),
    ],
)
def test_refuses_bad_options(build: type, option: str, value: object) -> None:
    with pytest.raises(ConfigError, match=f"{build.__name__}: '{option}' must be (?!left out)"):
        build(**{option: value})


@pytest.mark.parametrize(
    ("build", "given", "option", "value", "wrong"),
    [
        (LFM, {"alpha": "constant"}, "alpha_value", 0.5, 1.5),
        (LFM, {"alpha": "stepwise"}, "alpha_value", 0.5, -0.5),
    ],
)
def test_refuses_bad_options_where_they_have_an_effect(
    build: type, given: dict[str, object], option: str, value: object, wrong: object
) -> None:
    build(**given, **{option: value})
    with pytest.raises(ConfigError, match=f"{build.__name__}: '{option}' must be (?!left out)"):
        build(**given, **{option: wrong})


IDENTITY = {"hypergradient": "identity"}


@pytest.mark.parametrize(
    ("method", "given", "option", "value", "unless"),
    [
        ("lfm", {}, "alpha_value", 0.5, "'alpha' is constant or stepwise"),
        ("lfm", {"alpha": "polynomial"}, "alpha_value", 0.5, "'alpha' is constant or stepwise"),
        ("lfm", {"alignment": "js"}, "temperature", 0.1, "'alignment' is infonce"),
        ("lfm-lb", {"alignment": "js"}, "temperature", 0.1, "'alignment' is infonce"),
        ("lfm", {"alignment": "kl-mean"}, "temperature", 0.1, "'alignment' is infonce"),
        ("lfm-lb", IDENTITY, "iterations", 10, "'hypergradient' is cg or minres or neumann"),
        ("lfm-lb", IDENTITY, "damping", 0.01, "'hypergradient' is cg or minres or neumann"),
    ],
)
def test_refuses_options_without_effect(
    method: str, given: dict[str, object], option: str, value: object, unless: str
) -> None:
    METHODS.build(method, given)
    with pytest.raises(ConfigError, match=f": '{option}' must be left out unless {unless}"):
        METHODS.build(method, {**given, option: value})


def test_alpha_is_learned_through_attention_and_recurrence(tmp_path):
    """Their fused kernels have no second derivative; the outer iteration must not meet them."""
    rng = np.random.default_rng()
    texts = [" ".join(rng.choice(["yes", "no", "so"], 5)) for _ in range(60)]
    frame = pd.DataFrame({"a": texts, "b": texts[::-1], "label": list("ab") * 30})
    config = {
        "hidden_size": 8,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "intermediate_size": 8,
    }
    run = equipoise.fit(
        frame,
        method={"name": "lfm-lb", "iterations": 2},
        out=tmp_path / "run",
        modality=["a=a:text", "b=b:text"],
        encoder={
            "a": {"name": "bert", "config": config, "width": 6},
            "b": {"name": "gru", "width": 6},
        },
        epochs=1,
        **{"data.options.a.length": 7, "data.options.b.length": 7, "data.cache": str(tmp_path)},
    )
    (line,) = (run.folder / "metrics.jsonl").read_text().splitlines()
    assert json.loads(line)["method"]["alpha"] != 0.95


def test_a_twentieth_of_the_training_samples_is_held_out_unless_the_outer_loss_is_on_them_too():
    for options, part in (({}, 0.05), ({"outer_data": "train"}, 0.0)):
        settings = Settings.from_dict({"data": "digits", "method": {"name": "lfm-lb", **options}})
        method = METHODS.build("lfm-lb", options)
        splits = run.load_splits(settings, method)
        held = 0 if splits.holdout is None else len(splits.holdout)
        assert held == pytest.approx(part * (held + len(splits.train)), abs=1)
