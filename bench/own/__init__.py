"""How true and how unobtrusive ``stackyard run -- COMMAND`` is, beside six tools that measure commands."""
