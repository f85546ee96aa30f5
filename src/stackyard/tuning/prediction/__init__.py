"""What a trial will use: before it starts (``before``) and after its first steps (``during``). Pure.

``readings`` keeps what a trial had used on the way, ``accuracy`` sets what was predicted beside what came.
"""

from stackyard.tuning.prediction.ahead import before
from stackyard.tuning.prediction.underway import EARLY_SHARE, during

__all__ = ["EARLY_SHARE", "before", "during"]
