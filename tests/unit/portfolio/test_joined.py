"""Stacks over the modalities: cross-fitted, and neutral where a modality is absent."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from equipoise.portfolio import joined
from equipoise.portfolio.ensemble import log_loss, log_softmax
from equipoise.portfolio.joined import Stack, fit_stack, late_average, stack_inputs
from equipoise.testing.world import fresh_seed


def draw(count, classes, rows=240):
    """Members of which each can tell two classes apart, and confuses all others."""
    rng = np.random.default_rng(fresh_seed())
    label = rng.integers(classes, size=rows)
    logits = []
    for k in range(count):
        seen = np.where(np.isin(label, [k % classes, (k + 1) % classes]), label, (k + 2) % classes)
        logits.append(2 * np.eye(classes)[seen] + rng.normal(size=(rows, classes)))
    return label, logits, [np.ones(rows, dtype=bool)] * count


@pytest.mark.parametrize("count", [2, 3])
@pytest.mark.parametrize("classes", [2, 4])
def test_a_stack_is_the_linear_model_of_scikit_learn(count, classes):
    label, logits, here = draw(count, classes)
    inputs = stack_inputs(logits, here, [1.0] * count)
    weight = np.random.default_rng(fresh_seed()).random(len(label))
    stack = Stack.fit(inputs, label, classes, 0.1, weight)
    model = LogisticRegression(C=0.1, tol=1e-3).fit(inputs, label, weight)
    found = np.exp(log_softmax(stack(inputs)))
    np.testing.assert_allclose(found, model.predict_proba(inputs), atol=1e-3)


def test_an_absent_modality_adds_nothing_to_a_stack():
    label, logits, here = draw(2, 3)
    stack = Stack.fit(stack_inputs(logits, here, [1.0, 2.0]), label, 3, 1.0)
    gone = [here[0], np.zeros_like(here[1])]
    without = stack(stack_inputs(logits, gone, [1.0, 2.0]))
    changed = stack(stack_inputs([logits[0], -5 * logits[1]], gone, [1.0, 2.0]))
    np.testing.assert_array_equal(without, changed)


def test_a_row_does_not_shape_its_own_logits(monkeypatch):
    """But for the penalty, which is one of three."""
    monkeypatch.setattr(joined, "STRENGTHS", (0.1,))
    label, logits, here = draw(3, 3)
    inputs = stack_inputs(logits, here, [1.0] * 3)
    part = np.arange(len(label)) % 4
    even = np.ones(len(label))
    _, before = fit_stack(inputs, label, 3, part, even)
    changed = label.copy()
    changed[part == 2] = (changed[part == 2] + 1) % 3
    _, after = fit_stack(inputs, changed, 3, part, even)
    np.testing.assert_array_equal(before[part == 2], after[part == 2])


def test_a_stack_learns_which_member_to_believe_about_which_class():
    label, logits, here = draw(3, 4, rows=600)
    inputs = stack_inputs(logits, here, [1.0] * 3)
    _, found = fit_stack(inputs, label, 4, np.arange(600) % 4, np.ones(600))
    stacked = log_loss(np.exp(log_softmax(found)), label)
    averaged = log_loss(np.exp(log_softmax(3 * late_average(logits, here, [1.0] * 3))), label)
    assert stacked < averaged


def test_a_class_without_rows_gets_no_chance_and_a_single_class_all():
    label, logits, here = draw(2, 3)
    inputs = stack_inputs(logits, here, [1.0, 1.0])
    kept = label != 1
    assert (Stack.fit(inputs[kept], label[kept], 3, 1.0)(inputs).argmax(1) != 1).all()
    only = label == 2
    assert (Stack.fit(inputs[only], label[only], 3, 1.0)(inputs).argmax(1) == 2).all()
