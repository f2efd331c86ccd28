"""The network runs only what it is asked to run, and every parameter has one owner."""

import pytest
import torch
from torch import nn

from equipoise.batch import Batch
from equipoise.encoders import ENCODERS
from equipoise.errors import ConfigError, TrainingError
from equipoise.heads import HEADS
from equipoise.model import Model
from equipoise.testing.world import NAMES

WIDTH, CLASSES, ROWS = 6, 4, 9


class Normalised(nn.Module):
    """A linear layer and BatchNorm, which remembers what it saw."""

    def __init__(self, inputs):
        super().__init__()
        self.width = WIDTH
        self.layer = nn.Linear(inputs, WIDTH)
        self.norm = nn.BatchNorm1d(WIDTH, momentum=None)
        self.seen = 0

    def forward(self, x):
        self.seen += len(x)
        return self.norm(self.layer(x))


def make_model(count, head="concat", encoder=Normalised, **options):
    names = NAMES[:count]
    encoders = {m: encoder(3 + k) for k, m in enumerate(names)}
    return Model(
        encoders, HEADS.build(head, widths=dict.fromkeys(names, WIDTH), classes=CLASSES), **options
    )


def make_batch(count, hidden=0.0):
    present = {m: torch.rand(ROWS) >= hidden for m in NAMES[:count]}
    present[NAMES[0]] |= ~torch.stack(list(present.values())).any(0)
    inputs = {
        m: torch.randn(ROWS, 3 + k) * p.unsqueeze(1) for k, (m, p) in enumerate(present.items())
    }
    return Batch(inputs, present, torch.randint(CLASSES, (ROWS,)), torch.arange(ROWS))


def hide(batch, modality, rows):
    """The batch with some rows of a modality absent."""
    present = {**batch.present, modality: batch.present[modality].clone()}
    present[modality][rows] = False
    inputs = {**batch.inputs, modality: batch.inputs[modality] * present[modality].unsqueeze(1)}
    return Batch(inputs, present, batch.label, batch.index)


@pytest.mark.parametrize("count", [2, 3])
def test_batch_norm_never_sees_filler(count):
    model, batch = make_model(count), make_batch(count, hidden=0.4)
    first = NAMES[0]
    shown = batch.inputs[first][batch.present[first]]
    expected = model.encoders[first].layer(shown)
    output = model(batch)
    assert model.encoders[first].seen == len(shown)
    torch.testing.assert_close(model.encoders[first].norm.running_mean, expected.mean(0))
    features = output.features[first]
    assert (features[~batch.present[first]] == 0).all()
    standardised = (expected - expected.mean(0)) / (expected.var(0, correction=0) + 1e-5).sqrt()
    torch.testing.assert_close(features[batch.present[first]], standardised, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("count", [2, 3])
def test_absent_rows_do_not_change_the_others(count):
    model = make_model(count).eval()
    whole = make_batch(count)
    some = hide(whole, NAMES[1], [0, 4, 5])
    kept = [1, 2, 3, 6, 7, 8]
    torch.testing.assert_close(model(some).fused[kept], model(whole).fused[kept])
    torch.testing.assert_close(
        model(some).features[NAMES[1]][kept], model(whole).features[NAMES[1]][kept]
    )
    assert not torch.allclose(model(some).fused[[0, 4, 5]], model(whole).fused[[0, 4, 5]])


@pytest.mark.parametrize("count", [2, 3])
def test_what_stands_in_absent_rows_does_not_matter(count):
    model, batch = make_model(count).eval(), make_batch(count, hidden=0.4)
    noise = {
        m: x + torch.randn_like(x) * ~batch.present[m].unsqueeze(1) for m, x in batch.inputs.items()
    }
    noisy = Batch(noise, batch.present, batch.label, batch.index)
    assert torch.equal(model(noisy).fused, model(batch).fused)


@pytest.mark.parametrize("head", HEADS.names())
def test_a_modality_absent_from_the_batch_is_not_run(head):
    model, batch = make_model(3, head), hide(make_batch(3), NAMES[2], slice(None))
    output = model(batch)
    assert model.encoders[NAMES[2]].seen == 0
    assert output.features[NAMES[2]].shape == (ROWS, WIDTH)
    assert not output.features[NAMES[2]].any()
    assert torch.isfinite(output.fused).all()


@pytest.mark.parametrize("head", HEADS.names())
def test_only_runs_the_modalities_asked_for(head):
    model, batch = make_model(3, head).eval(), make_batch(3)
    second = NAMES[1]
    alone = Batch({second: batch.inputs[second]}, batch.present, batch.label, batch.index)
    output = model(alone, only=(second,))
    assert tuple(output.features) == tuple(output.logits) == (second,)
    assert [model.encoders[m].seen for m in NAMES[:3]] == [0, ROWS, 0]
    others_gone = hide(hide(batch, NAMES[0], slice(None)), NAMES[2], slice(None))
    torch.testing.assert_close(output.fused, model(others_gone).fused)
    torch.testing.assert_close(output.logits[second], model(batch).logits[second])


def test_reading_given_features_is_the_same_as_running():
    model, batch = make_model(3).eval(), make_batch(3, hidden=0.3)
    features = model.encode(batch)
    assert torch.equal(model.read(features, batch.present).fused, model(batch).fused)
    pair = NAMES[:2]
    assert torch.equal(
        model.read(features, batch.present, pair).fused, model(batch, only=pair).fused
    )


@pytest.mark.parametrize("count", [2, 3])
@pytest.mark.parametrize("head", HEADS.names())
def test_groups_partition_the_parameters(head, count):
    model = make_model(count, head)
    groups = [model.group(m) for m in model.modalities]
    owned = [id(p) for group in groups for p in (*group.encoder, *group.head)] + [
        id(p) for p in model.shared
    ]
    assert sorted(owned) == sorted(id(p) for p in model.parameters())
    for modality, group in zip(model.modalities, groups, strict=True):
        assert [id(p) for p in group.encoder] == [
            id(p) for p in model.encoders[modality].parameters()
        ]


def test_shared_parameters_are_refused():
    encoders = {m: Normalised(3) for m in NAMES[:3]}
    encoders[NAMES[2]].layer.weight = encoders[NAMES[0]].layer.weight
    head = HEADS.build("concat", widths=dict.fromkeys(NAMES[:3], WIDTH), classes=CLASSES)
    with pytest.raises(ConfigError, match=f"'{NAMES[0]}' and '{NAMES[2]}' share a parameter"):
        Model(encoders, head)


def test_head_and_encoders_must_agree():
    head = HEADS.build("concat", widths=dict.fromkeys(NAMES[:2], WIDTH), classes=CLASSES)
    with pytest.raises(ConfigError, match="the head is made for"):
        Model({m: Normalised(3) for m in reversed(NAMES[:2])}, head)


def test_an_unknown_modality_is_answered_with_the_nearest():
    model, batch = make_model(2), make_batch(2)
    with pytest.raises(ConfigError, match="no modality 'alpa'; did you mean 'alpha'"):
        model(batch, only=("alpa",))
    with pytest.raises(ConfigError, match="no modality"):
        model.group("nothing")


def test_bfloat16_comes_back_in_float32():
    def encoder(inputs):
        return ENCODERS.build("mlp", {"hidden": [8], "width": WIDTH}, shape=(inputs,))

    model, batch = make_model(2, encoder=encoder, precision="bfloat16"), make_batch(2, hidden=0.3)
    output = model(batch)
    tensors = [*output.features.values(), *output.logits.values(), output.fused]
    assert {t.dtype for t in tensors} == {torch.float32}
    model.precision = "float32"
    exact = model(batch).fused
    assert not torch.equal(exact, output.fused), "autocast did nothing"
    torch.testing.assert_close(exact, output.fused, atol=0.05, rtol=0.05)


def test_bfloat16_holds_for_the_parts_by_themselves():
    """Methods that read the head again, or encode alone, compute what a whole pass computes."""

    def encoder(inputs):
        return ENCODERS.build("mlp", {"hidden": [8], "width": WIDTH}, shape=(inputs,))

    model, batch = make_model(3, encoder=encoder, precision="bfloat16"), make_batch(3, hidden=0.3)
    whole = model(batch)
    features = model.encode(batch)
    for modality, feature in features.items():
        assert torch.equal(feature, whole.features[modality])
    assert torch.equal(model.read(features, batch.present).fused, whole.fused)


@pytest.mark.parametrize("count", [2, 3])
def test_logits_are_computed_when_read_and_with_a_graph(count):
    model, batch = make_model(count), make_batch(count)
    asked = []
    unimodal = model.head.unimodal
    model.head.unimodal = lambda m, z: asked.append(m) or unimodal(m, z)
    output = model(batch)
    assert not asked
    with torch.no_grad():  # a method that looks at them first must not lose their gradient
        logits = output.logits[NAMES[1]]
    assert asked == [NAMES[1]]
    assert logits.requires_grad
    assert output.logits[NAMES[1]] is logits
    assert output.fused is output.fused
    assert list(output.logits) == list(NAMES[:count])
    with torch.no_grad():
        assert not model(batch).fused.requires_grad


def test_logits_are_refused_after_the_weights_moved():
    model, batch = make_model(2), make_batch(2)
    output, held = model(batch), model.eval()(batch)
    before = output.logits[NAMES[0]]
    model.moved()
    assert output.logits[NAMES[0]] is before
    for late in (lambda: output.logits[NAMES[1]], lambda: output.fused, lambda: output.weights):
        with pytest.raises(TrainingError, match=r"before ctx.update\(\)"):
            late()
    assert held.fused.shape == (ROWS, CLASSES), "in evaluation mode all is computed at once"
