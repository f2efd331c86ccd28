"""One thread per process, a cache of its own, and nothing of the user's."""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest
import torch

torch.set_num_threads(1)


@pytest.fixture(autouse=True, scope="session")
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> None:
    os.environ["EQUIPOISE_CACHE"] = str(tmp_path_factory.mktemp("cache"))
