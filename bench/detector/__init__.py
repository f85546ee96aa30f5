"""The detector's benchmark: quality on real logs (``quality``) and speed against a naive loop (``speed``)."""
