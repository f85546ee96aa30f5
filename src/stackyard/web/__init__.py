"""``stackyard web``: a small web app of our side. Tasks of a ClearML server compared, reports of this machine shown.

It reads a server by ClearML's API alone, as the person who signed in, so it works beside an official server too. It
comes with nobody's key and stores nothing. ``app`` lists the rooms and puts them together; each brings its own routes.
``server`` listens, ``edge`` lets in, ``people`` says who is there, ``work`` bounds what is done for them.
"""
