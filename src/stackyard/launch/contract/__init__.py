"""The contract of deployments as tests, for ours and for those of guest packages.

A guest inherits ``Contract`` in a test module of its own and runs it with pytest:

    from stackyard.launch.contract import Contract

    class TestNice(Contract):
        name = "nice"

Nothing else of Stackyard imports this package, so pytest is needed by those who run the contract only.
"""

import pytest

# before they are imported: else a failed assertion tells no values
pytest.register_assert_rewrite("stackyard.launch.contract.cases", "stackyard.launch.contract.ground")

from stackyard.launch.contract.cases import Contract, Done  # noqa: E402 - see above
from stackyard.launch.contract.ground import Ground, code_in, record_in  # noqa: E402

__all__ = ["Contract", "Done", "Ground", "code_in", "record_in"]
