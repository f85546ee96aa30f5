"""HTTP, as all three ports speak it: the one way in for the API, the file server and the pages.

``connections`` bounds what a connection may take, below HTTP's meaning. ``edge`` is what every request passes before
its port sees it. ``exchange`` is one request and its answer; ``headers`` reads a request's and completes an answer's;
``bodies`` bounds what comes, ``origins`` says which pages are believed, ``cookies`` holds the session's cookie rules,
``errors`` turns a fault into a refusal. Knows no port and no endpoint.
"""
