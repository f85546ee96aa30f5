"""What was reported, read back: the words of event requests, and plots and images step by step. For ``events.*``."""
