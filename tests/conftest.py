"""Shared test settings: the package first (its torchvision hook), one thread, no network."""

import os

os.environ.setdefault('HF_HUB_OFFLINE', '1')

import urbancross_mm  # noqa: F401, I001  installs the torchvision hook before anything imports it
import pytest
import torch


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


def pytest_configure() -> None:
    """Two xdist workers share two cores, so one thread each."""
    torch.set_num_threads(1)
