"""What a page brings may run; what is put into it later may not."""

from __future__ import annotations

import base64
import hashlib

import pytest

from stackyard_server.web.policy import policy_for


def scripts(page: str) -> list[str]:
    """What the policy of a page allows to run."""
    directives = dict(part.strip().partition(" ")[::2] for part in policy_for(page).split(";"))
    return directives["script-src"].split()


def digest(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def test_a_page_without_scripts_of_its_own_allows_none() -> None:
    assert scripts("<p>onload</p><script src=x.js></script>") == ["'self'", "'unsafe-eval'"]
    assert "'unsafe-inline'" not in policy_for().partition("style-src")[0]


@pytest.mark.parametrize(
    ("page", "text"),
    [
        ("<script>a < b && '</p>'</script>", "a < b && '</p>'"),
        ("<script type=module>\r\nimport 'x'\r</script>", "\nimport 'x'\n"),
        ("<SCRIPT TYPE='text/javascript'>let é</SCRIPT>", "let é"),
    ],
)
def test_a_script_in_the_page_is_allowed_by_its_digest(page: str, text: str) -> None:
    assert scripts(page) == ["'self'", "'unsafe-eval'", digest(text)]


def test_data_in_a_page_is_no_script() -> None:
    assert scripts('<script type="application/json">{}</script>') == ["'self'", "'unsafe-eval'"]


def test_an_attribute_is_allowed_by_its_digest_as_the_browser_reads_it() -> None:
    page = """<link rel=stylesheet media=print onload="this.media='all'"><img onerror='a("&amp;")'>"""
    assert scripts(page)[2:] == ["'unsafe-hashes'", digest("this.media='all'"), digest('a("&")')]
    assert scripts(page + page)[2:] == scripts(page)[2:]
