"""What was reported, read back: the words of event requests, plots and images step by step; containers that serve."""
