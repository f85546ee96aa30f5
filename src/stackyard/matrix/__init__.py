"""The matrix: from a scenario and a machine to a plan, and from a plan to a folder of runs.

``planning`` turns a scenario and a ``site`` into a plan and starts nothing; ``inputs`` sees that its files are there;
``runner`` makes its runs, through ``launch``; ``runs`` is the run folder; ``shards`` makes one run of several tasks;
``estimate`` says how long the rest takes. Knows neither settings nor terminals; never imports reports or cli.
"""
