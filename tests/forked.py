"""What the process that ranks and workers are forked from imports and does, once for all."""

import urbancross_mm  # noqa: F401, I001  installs the torchvision hook before anything imports it
import mmpretrain.models  # noqa: F401
import pytest  # noqa: F401

import urbancross_mm.apis
import urbancross_mm.experiments
import urbancross_mm.models  # noqa: F401
from tests.sparing import spare_runs

spare_runs()
