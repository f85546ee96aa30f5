"""What tests of comparing share: a real server with one project for each test, and tasks on it."""

from tests.stackyard.comparing.lab import lab  # noqa: F401 - a fixture
from tests.stackyard.launch.conftest import client, server  # noqa: F401 - fixtures
