"""One module per ClearML service, one function per method: parse, call rules and store, answer.

A function's docstring says what it answers and names the fields of the API that are left out.
``dispatch.load`` finds the modules; they import ``dispatch`` for the mark, ``rules``, ``store`` and the shared
nouns beside this package, never each other.
"""
