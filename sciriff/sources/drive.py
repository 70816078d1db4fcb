"""Files on Google Drive: past the page that asks whether to download what it cannot scan for viruses."""

from __future__ import annotations

from urllib.parse import urlencode, urljoin, urlsplit

from sciriff.errors import SourceError
from sciriff.sources.addresses import drive_id
from sciriff.sources.errand import Errand, shown
from sciriff.sources.exchange import Answer
from sciriff.sources.http import Downloaded, is_page

_PAGE_LIMIT = 256 << 10
_MOST_PAGES = 3
_EXPLAINED = frozenset({401, 403, 404})
"""Statuses that come with a page which says more than they do."""

_FORM_HOSTS = frozenset({"drive.usercontent.google.com", "drive.google.com"})
_WAY_OUT = (
    "or download it in a browser that is signed in to Google and put it into a mirror (SCIRIFF_MIRROR) under this "
    "address"
)


def fetch_from_drive(errand: Errand, url: str) -> Downloaded:
    """Bring a file that is shared with everybody.

    Small files come at once. For others Drive first shows a page with a form, whose hidden fields are sent back.

    Raises:
        TransientError: if Drive is out of reach, down or busy, in spite of patience.
        SourceError: if the file is not there or not shared, if its download quota is spent, or if it is not what it
            should be; says how to get it by hand.
    """
    wanted = drive_id(url)
    name = shown(url, errand.settings)
    at = url
    for _ in range(_MOST_PAGES):
        seen = errand.look(at, _PAGE_LIMIT, wanted=_EXPLAINED)
        if not is_page(seen.body, seen.content_type):
            return errand.bring(at, name=name)
        at = next_address(seen, at, wanted, name)
    raise SourceError(f"{name}: Google Drive shows one confirmation page after another; try again later, {_WAY_OUT}")


def next_address(page: Answer, at: str, wanted: str, name: str) -> str:
    """Where the confirmation form of a page leads.

    Args:
        page: what Drive showed.
        at: its address, against which the form's is resolved.
        wanted: id of the file that the form must be about.
        name: the address, as messages call it.

    Raises:
        SourceError: if the page is another one; says which.
    """
    from lxml import etree, html

    try:
        document = html.fromstring(page.body)
    except (ValueError, etree.LxmlError) as error:
        raise SourceError(f"{name}: expected a data file, found an unreadable page ({error}); {_WAY_OUT}") from error
    for form in document.iter("form"):
        action = urljoin(at, form.get("action", ""))
        target = urlsplit(action)
        fields = {field: each.get("value", "") for each in form.iter("input") if (field := each.get("name"))}
        if target.scheme == "https" and target.hostname in _FORM_HOSTS and fields.get("id") == wanted:
            return f"{action}?{urlencode(fields)}"
    raise _explained(page, document, name)


def _explained(page: Answer, document: object, name: str) -> SourceError:
    """What a page without the form says."""
    texts = [" ".join(str(text).split()) for text in document.xpath("//title//text() | //p//text()")]  # type: ignore[attr-defined]
    said = ". ".join(text.rstrip(".") for text in texts if text)[:400] or "without words"
    if "quota" in said.lower() or "too many users" in said.lower():
        return SourceError(
            f"{name}: too many people have downloaded this file from Google Drive lately, and its quota is spent "
            f"(the page: {said}); try again in a day, {_WAY_OUT}"
        )
    if "accounts.google.com" in urlsplit(page.url).netloc or "sign in" in said.lower() or "sign-in" in said.lower():
        return SourceError(
            f"{name}: Google Drive wants a sign-in: the file is no longer shared with everybody (the page: {said}); "
            f"look for it on the source's homepage, {_WAY_OUT}"
        )
    return SourceError(
        f"{name}: expected a data file or Google Drive's confirmation form, found another page ({said}); open the "
        f"address in a browser to see what is wanted, {_WAY_OUT}"
    )
