"""What might make the detector better on sites that it never saw: variants of network, input and score, compared."""
