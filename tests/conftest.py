"""One thread per process, seeds that do not change by chance, no wait for the disk, own caches."""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

from collections.abc import Iterator

import hypothesis
import numpy as np
import pytest
import torch

from seeds import Seeds

torch.set_num_threads(1)

SEEDS = pytest.StashKey[Seeds]()

# Busy machines are slow: no example of a property is failed for the time it took.
hypothesis.settings.register_profile("fixed", derandomize=True, deadline=None)
hypothesis.settings.register_profile("random", deadline=None)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--seed",
        type=int,
        default=0,
        help="changes the random numbers of all tests; the same number repeats a run (default: 0)",
    )


def pytest_configure(config: pytest.Config) -> None:
    base = config.getoption("--seed")
    seeds = Seeds(base)
    config.stash[SEEDS] = seeds
    # It takes milliseconds, thousands of times, and nothing in a test survives a loss of power.
    os.fsync = lambda descriptor: None
    # Before test files are imported: some make a generator then.
    np.random.default_rng = seeds.default_rng
    hypothesis.settings.load_profile("random" if base else "fixed")


def pytest_report_header(config: pytest.Config) -> str:
    return f"seed: {config.getoption('--seed')}"


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    item.config.stash[SEEDS].start(item.nodeid)


@pytest.hookimpl(wrapper=True)
def pytest_fixture_setup(
    fixturedef: pytest.FixtureDef[object], request: pytest.FixtureRequest
) -> Iterator[None]:
    if fixturedef.scope == "function":
        return (yield)
    with request.config.stash[SEEDS].aside(f"{fixturedef.baseid}::{fixturedef.argname}"):
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    report = yield
    if report.failed:
        base = item.config.getoption("--seed")
        report.sections.append(("Seed", f"repeat with: pytest '{item.nodeid}' --seed {base}"))
    return report


@pytest.fixture
def seed(request: pytest.FixtureRequest) -> int:
    """The seed of this test; torch, NumPy and Python's own generator are seeded with it."""
    return request.config.stash[SEEDS].value


@pytest.fixture(autouse=True, scope="session")
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> None:
    os.environ["EQUIPOISE_CACHE"] = str(tmp_path_factory.mktemp("cache"))
