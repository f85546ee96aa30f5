"""What of a base stays as it is in every stack on top."""

from __future__ import annotations

import pytest

from stackyard.stacks import core


@pytest.mark.parametrize(
    "name",
    [
        *("torch", "Torch", "triton", "torchvision", "torchaudio", "nvidia-cublas-cu12", "nvidia_cudnn_cu13"),
        *("nvidia-cublas", "cuda-bindings", "pytorch-triton"),
    ],
)
def test_torch_its_libraries_and_what_is_built_with_it_stay(name: str) -> None:
    assert core.holds(name)


@pytest.mark.parametrize("name", ["numpy", "nvidia-ml-py", "torchmetrics", "pandas", "setuptools", "nvidia"])
def test_all_else_may_be_replaced(name: str) -> None:
    assert not core.holds(name)
