"""The tables of the pages below docs/studies."""
