"""The reference workload: early detection of malicious activity in event sequences (DeepLog family).

sessions -> ``vocabulary`` -> ``windows`` -> ``model`` (an LSTM, PyTorch) -> ``ranks`` -> verdicts. Two
scorers give the same ranks: ``scoring`` (PyTorch, the reference) and ``fast_scoring`` (numpy alone).

Importing this package imports nothing. Modules that need PyTorch: ``model``, ``training``, ``scoring``.
Nothing here imports ``run`` or ``measure``.
"""
