"""Cases that two ranks compute. `python cases.py <folder> <seed>` is one rank, and saves answers.

Each case divides the same global samples among the ranks. Its answer must not depend on their
number.
"""

import sys
from pathlib import Path

import torch
from torch import nn

from equipoise.batch import Batch
from equipoise.errors import TrainingError
from equipoise.evaluation.predict import predict
from equipoise.methods.balance.lfm_learned import implicit_gradient
from equipoise.methods.parts.alignment import Softmax
from equipoise.methods.parts.losses import cross_entropy, fused_loss, unimodal_loss
from equipoise.testing.world import NAMES, World, small_splits
from equipoise.training import runtime

ROWS = 11
CUT = 7  # the first rank has seven of the samples, the second four


def own_rows(value, here):
    """The rows of this rank."""
    if here.world == 1:
        return value
    return value[:CUT] if here.rank == 0 else value[CUT:]


def drawn(*shape):
    return torch.randn(*shape, dtype=torch.float64)


def context(here, seed, count=3, head="auto"):
    return World("joint", count, seed, head=head, precision="float64").build(here)[1]


def batch_of(ctx, here, present):
    """This rank's rows of a global batch; `present` gives the samples of each modality."""
    inputs = {
        m: drawn(ROWS, *ctx.train.table.specs[m].shape) * present[m].unsqueeze(1) for m in present
    }
    whole = Batch(inputs, present, torch.randint(3, (ROWS,)), torch.arange(ROWS))
    return whole.apply(lambda value: own_rows(value, here))


def gradients(ctx):
    return {name: p.grad.clone() for name, p in ctx.model.named_parameters() if p.grad is not None}


def everywhere():
    return {m: torch.ones(ROWS, dtype=torch.bool) for m in NAMES[:3]}


def gradient_of_all(here, seed):
    """Every parameter is reached on both ranks."""
    ctx = context(here, seed)
    batch = batch_of(ctx, here, everywhere())
    ctx.backward(fused_loss(ctx.model(batch), batch, ctx))
    return gradients(ctx)


def gradient_none_on_one_rank(here, seed):
    """One modality is seen by the second rank only."""
    ctx, present = context(here, seed, head="sum"), everywhere()
    present[NAMES[0]][:CUT] = False
    batch = batch_of(ctx, here, present)
    ctx.backward(fused_loss(ctx.model(batch), batch, ctx))
    return gradients(ctx)


def gradient_none_on_all(here, seed):
    """One modality is seen by nobody: its gradients are not there at all, on any rank."""
    ctx, present = context(here, seed, head="sum"), everywhere()
    present[NAMES[1]][:] = False
    batch = batch_of(ctx, here, present)
    ctx.backward(fused_loss(ctx.model(batch), batch, ctx))
    found = gradients(ctx)
    assert not any(NAMES[1] in name for name in found)
    assert not ctx.anyone_has(NAMES[1], batch)
    assert ctx.anyone_has(NAMES[0], batch)
    return found


def loss_without_graph_on_one_rank(here, seed):
    """One modality in hand that the first rank does not have at all."""
    ctx, present = context(here, seed, head="shared"), everywhere()
    present[NAMES[2]][:CUT] = False
    batch = batch_of(ctx, here, present)
    ctx.backward(unimodal_loss(NAMES[2], ctx.model(batch, only=NAMES[2:3]), batch, ctx))
    return gradients(ctx)


def sample_means(here, seed):
    """Means over unequal counts, and over samples that only one rank has."""
    ctx, answers = context(here, seed), {}
    values = drawn(ROWS, 4)
    for name, where in {
        "some": torch.rand(ROWS) < 0.5,
        "second": torch.arange(ROWS) >= CUT,
    }.items():
        answers[name] = ctx.mean(ctx.sample_mean(own_rows(values, here), own_rows(where, here)))
    answers["none"] = ctx.mean(
        ctx.sample_mean(own_rows(values, here), own_rows(torch.zeros(ROWS, dtype=torch.bool), here))
    )
    answers["all"] = ctx.mean(ctx.sample_mean(own_rows(values, here)))
    assert torch.allclose(answers["all"], values.mean(0))
    return answers


def gathered_twice(here, seed):
    """A loss between all pairs of samples, and its derivatives up to the third."""
    ctx = context(here, seed)
    weight = nn.Parameter(drawn(5, 3))
    samples, direction = drawn(ROWS, 5), drawn(5, 3)
    features = ctx.gather(torch.tanh(own_rows(samples, here) @ weight))
    loss = (features @ features.T).logsumexp(1).mean()
    (first,) = ctx.gradient(loss, [weight], create_graph=True)
    (second,) = ctx.gradient((first * direction).sum(), [weight], create_graph=True)
    (third,) = ctx.gradient((second * direction).sum(), [weight])
    return {
        "rows": features.detach(),
        "first": first.detach(),
        "second": second.detach(),
        "third": third,
    }


def hypergradients(here, seed):
    """Eq. 3 of LFM by every solver; one of the inner losses compares the samples of all ranks.

    A further one has samples on one rank only. Well damped: solutions of an ill-conditioned system
    depend on the last bit of every sum.
    """
    ctx = context(here, seed)
    weight, other = nn.Parameter(drawn(5, 3)), nn.Parameter(drawn(5, 3))
    samples, held = drawn(ROWS, 5), drawn(ROWS, 5)
    label = own_rows(torch.randint(3, (ROWS,)), here)
    lonely = own_rows(torch.arange(ROWS) >= CUT, here)

    def logits(inputs):
        return torch.tanh(own_rows(inputs, here) @ weight) + own_rows(inputs, here) @ other

    answers = {}
    for solver in ("cg", "minres", "neumann", "identity"):
        classes = Softmax(logits(samples), ctx.sample_mean)
        one = Softmax(logits(samples), lambda rows: ctx.sample_mean(rows, lonely))
        features = ctx.gather(torch.tanh(own_rows(samples, here) @ weight))
        pairs = Softmax(features @ features.T, torch.mean)
        matching = pairs.reduce(cross_entropy(pairs.logits, torch.arange(ROWS)))
        inner = (
            classes.reduce(cross_entropy(classes.logits, label)),
            matching + one.reduce(cross_entropy(one.logits, label)),
        )
        outer = ctx.sample_mean(cross_entropy(logits(held), label))
        answers[solver], solved = implicit_gradient(
            inner,
            ([classes], [pairs, one]),
            torch.tensor(0.4, dtype=torch.float64),
            outer,
            [weight, other],
            ctx,
            solver=solver,
            damping=1.0,
            iterations=5,
        )
        answers[f"{solver}, residual"] = solved.residual
    return answers


def logged(here, seed):
    """The log of an epoch: scalars, the loss too, are means over the samples of all ranks."""
    ctx = context(here, seed)
    for _ in range(3):
        batch = batch_of(ctx, here, everywhere())
        loss = fused_loss(ctx.model(batch), batch, ctx)
        ctx.backward(loss)
        ctx.log(value=ctx.sample_mean(batch.inputs[NAMES[0]][:, 0]))
    return {name: torch.tensor(value) for name, value in ctx.read_journal().items()}


def predictions(here, seed):
    """All rows of a split in order, on every rank; also where there are fewer rows than ranks."""
    ctx, table = context(here, seed), small_splits(3, seed, missing=0.3).validation
    model = ctx.model.float()
    answers = {}
    for name, part, size in (
        ("whole", table, 7),
        ("one", table.take(torch.tensor([4]).numpy()), 64),
    ):
        found = predict(model, part, batch_size=size, runtime=here)
        answers[name] = torch.from_numpy(found.fused)
        answers |= {f"{name}/{m}": torch.from_numpy(found.logits[m]) for m in found.modalities}
    return answers


def random_streams(here, seed):
    """The stream of methods is the same on every rank, whatever their shares."""
    ctx = context(here, seed)
    return {str(n): torch.rand(3, generator=ctx.rng) for n, _ in enumerate(ctx.steps())}


def running_statistics(here, seed):
    """Ranks have seen other samples; after an epoch all have the mean of their statistics."""
    ctx, norm = context(here, seed), nn.BatchNorm1d(8, dtype=torch.float64)
    ctx.model.encoders[NAMES[0]].norm = norm
    for statistic in (norm.running_mean, norm.running_var):
        seen = drawn(2, 8).exp()
        statistic.copy_(seen.mean(0) if here.world == 1 else seen[here.rank])
    norm.num_batches_tracked += 3
    ctx.end_epoch()
    return dict(norm.named_buffers())


def bad_loss_on_one_rank(here, seed):
    """Every rank stops, for the same reason."""
    ctx = context(here, seed)
    batch = batch_of(ctx, here, everywhere())
    spoiled = here.world == 1 or here.rank == 1
    ctx._rows = torch.tensor([3, 4])
    ctx.backward(fused_loss(ctx.model(batch), batch, ctx) * (torch.nan if spoiled else 1.0))
    try:
        ctx.require_finite()
    except TrainingError as error:
        return {"said": torch.tensor(list(str(error).encode()))}
    raise AssertionError("nobody complained")


CASES = {
    case.__name__: case
    for case in (
        gradient_of_all,
        gradient_none_on_one_rank,
        gradient_none_on_all,
        loss_without_graph_on_one_rank,
        sample_means,
        gathered_twice,
        hypergradients,
        logged,
        predictions,
        random_streams,
        running_statistics,
        bad_loss_on_one_rank,
    )
}


def answer(name, here, seed):
    torch.manual_seed(seed)
    return CASES[name](here, seed)


def main(folder, seed):
    torch.set_num_threads(1)
    here = runtime.start("cpu")
    for name in CASES:
        torch.save(answer(name, here, seed), Path(folder) / f"{name}-{here.rank}.pt")
    runtime.leave(0)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
