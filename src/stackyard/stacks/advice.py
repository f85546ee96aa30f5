"""What helps who wrote a list of requirements that cannot be taken: the ends of the sentences that refuse it.

A file's owner has the command line at hand. Who wrote a task's requirements has the task: code in a repository,
packages of an index, the stack that the task names.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Advice:
    """The ends of sentences, for one kind of reader."""

    #: Behind what names a path, an address or an editable folder.
    no_path: str
    #: Behind the name of an option that says where wheels lie, or that no index is to be asked.
    wheels: str
    #: Behind the name of any other option of pip.
    option: str
    #: Behind "an index with a login is never kept; ".
    login: str
    #: Behind "takes a part from a variable, which is not kept; ".
    variable: str
    #: How another stack is chosen, before its name: "take a base with that torch".
    take: str
    #: What to do where no stack has what is wanted.
    define: str
    #: How a package's build for another torch is got; NAME stands for the package.
    build: str
    #: Behind "needs NAME==VERSION, but base X pins NAME VERSION; ", before "with that NAME".
    derive: str
    #: Behind "torch, which base X does not have; ".
    with_torch: str


#: For the owner of a file, who calls `stackyard stack derive` or names it in a scenario.
OWNER = Advice(
    no_path="cannot be pinned by version and hash; name code of your own in the workload (`code`), or build a wheel "
    "of it, give its folder with --wheels, and write NAME==VERSION",
    wheels="is not kept; give a folder of wheels with --wheels instead",
    option="is not read here; put it into pip's own configuration",
    login="put it into pip's own configuration (`pip config set global.extra-index-url ADDRESS`, or a .netrc file) "
    "and leave the line away",
    variable="write it out, and put logins into pip's own configuration",
    take="take a base",
    define="define one",
    build="give a wheel of NAME with that tag with --wheels, or its index with --extra-index-url in the file",
    derive="derive from a base",
    with_torch="derive from a stack with torch",
)
#: For the author of a task, who edits it in a browser or runs the script once more.
AUTHOR = Advice(
    no_path="cannot be pinned by version and hash; keep your code in the task's repository, or write NAME==VERSION "
    "of a package that an index has",
    wheels="is not kept; leave the line away: packages come from indexes, and from the machine's folder of wheels",
    option="is not read here; leave the line away",
    login="leave the line away; whoever runs the agent can put that index into pip's own configuration there",
    variable="write it out, or leave the line away",
    take="choose a stack",
    define="whoever runs the agent can define one",
    build="list another version of NAME, or the index that has that build with --extra-index-url",
    derive="choose a stack",
    with_torch="choose a stack with torch",
)
