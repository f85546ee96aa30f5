"""What tests of a server's client share with those of launching through one."""

from tests.stackyard.launch.conftest import client, contract_code, sender, server  # noqa: F401 - fixtures
