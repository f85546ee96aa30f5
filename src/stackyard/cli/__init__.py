"""The command line: one file per command. Builds settings, calls a room, prints; holds no rule of its own."""
