"""Tasks on a ClearML server, as people meet them: templates, submitting, following, and what a task came to.

One noun per file: ``templates`` (drafts to clone), ``examples`` (what lets them run as cloned), ``submissions`` (cloned
or made, enqueued, listed, aborted), ``following`` (a task while it runs), ``outcomes`` (what it left). May import
launch, stacks, datasets, the client and the records of the seam; never site, runner, reports or cli.
"""
