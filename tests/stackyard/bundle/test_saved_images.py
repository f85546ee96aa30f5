"""Images by the names that the role bundle asks for."""

from __future__ import annotations

import pytest

from stackyard.bundle import saved_images


@pytest.mark.parametrize(
    ("reference", "name"),
    [
        ("stackyard-base:bookworm", "image-stackyard-base-bookworm"),
        ("python:3.11-slim", "image-python-3.11-slim"),
        ("registry.example:5000/Lab/one_two:1", "image-registry.example-5000-lab-one-two-1"),
    ],
)
def test_a_component_is_named_after_its_image(reference: str, name: str) -> None:
    assert saved_images.component_of(reference) == name
