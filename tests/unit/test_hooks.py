"""A subclass that lacks a hook is refused at construction, not in the middle of training."""

import pytest

from equipoise.data.transforms.array import ArrayFile
from equipoise.data.transforms.audio import Sound
from equipoise.errors import ConfigError
from equipoise.heads.base import Head
from equipoise.heads.parts.imputing import ImputingHead
from equipoise.heads.parts.joint import JointHead
from equipoise.methods.balance.smv import Valuation
from equipoise.methods.parts.aligned import Aligned
from equipoise.methods.parts.frozen_encoders import FrozenEncoders
from equipoise.methods.parts.own_head import OwnHead
from equipoise.methods.parts.teacher import TeacherStudent
from equipoise.registry import Entry, Registry
from equipoise.training.method import Method

HOOKS = [
    (Head, "unimodal"),
    (Head, "fuse"),
    (JointHead, "read"),
    (ImputingHead, "restore"),
    (FrozenEncoders, "encoder_loss"),
    (FrozenEncoders, "fit"),
    (TeacherStudent, "teach"),
    (TeacherStudent, "study"),
    (Valuation, "added"),
    (Aligned, "weight"),
    (ArrayFile, "padded"),
    (ArrayFile, "stored"),
    (Sound, "stored"),
    (Sound, "spectrogram"),
]


def without(base, hook):
    """A subclass that defines every hook but one."""
    others = {name: lambda *given: None for name in base.__abstractmethods__ - {hook}}
    return type("Forgetful", (base,), others)


@pytest.mark.parametrize(("base", "hook"), HOOKS)
def test_a_forgotten_hook_is_named_when_the_class_is_constructed(base, hook):
    with pytest.raises(TypeError, match=f"abstract class Forgetful .*{hook}"):
        without(base, hook)()


def test_the_registry_says_what_a_class_lacks(monkeypatch):
    monkeypatch.setattr(Entry, "load", lambda self: without(Head, "fuse"))
    with pytest.raises(ConfigError, match="head 'mine': Forgetful does not define fuse"):
        Registry("head", [Entry("mine", "", "")]).build("mine", widths={"a": 2}, classes=2)


@pytest.mark.parametrize("base", [Method, OwnHead])
def test_a_method_trains_by_its_loss_or_by_its_step(base):
    with pytest.raises(
        ConfigError, match="method Neither has nothing to train by; override 'loss', or 'step'"
    ):
        type("Neither", (base,), {})()
    for hook in ("loss", "step"):
        type("Enough", (base,), {hook: lambda self, *given: None})()


def test_a_method_with_a_step_of_its_own_needs_no_loss():
    method = type("Steps", (Method,), {"step": lambda self, batch, ctx: None})()
    with pytest.raises(
        ConfigError, match="method Steps trains by a 'step' of its own and has no 'loss'"
    ):
        method.loss(None, None, None)
