"""What goes over a ClearML server: who we are there, the one client, and what is sent and brought back.

``connection`` says which server; ``client`` is the only talker to it; ``sending`` and ``collecting`` carry tasks
there and results back; ``tasks``, ``pipelines`` and ``datasets`` are what people meet there.
"""
