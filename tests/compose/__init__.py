"""``make compose-check``: the compose file on stand-in images, for real containers and without an image registry."""
