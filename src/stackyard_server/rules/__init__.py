"""What ClearML's objects may do, as pure functions: no clock, file, network or database; ``now`` is an argument."""
