"""Files on Google Drive: past the page that asks whether to download what it cannot scan for viruses."""

from __future__ import annotations

import logging
import re
from dataclasses import dataclass
from urllib.parse import urlencode, urljoin, urlsplit

from sciriff.errors import SourceError
from sciriff.sources.addresses import drive_id
from sciriff.sources.errand import Errand, shown
from sciriff.sources.exchange import Answer
from sciriff.sources.http import Downloaded, is_page
from sciriff.sources.manual import LackingFileError, find_by_hand, folders

logger = logging.getLogger(__name__)

_PAGE_LIMIT = 256 << 10
_MOST_PAGES = 3
_EXPLAINED = frozenset({401, 403, 404})
"""Statuses that come with a page which says more than they do."""

_FORM_HOSTS = frozenset({"drive.usercontent.google.com", "drive.google.com"})


@dataclass(frozen=True, slots=True)
class _Wanted:
    """The file a page must be about: its id on Drive, its address as messages call it, how to get it otherwise."""

    file_id: str
    name: str
    way_out: str


def fetch_by_hand(errand: Errand) -> Downloaded | None:
    """Take a file that the user downloaded in a browser, where Drive would not give it to us.

    It is looked for where files of sources of kind ``manual`` are.

    Raises:
        SourceError: if it is not what it should be.
    """
    try:
        path = find_by_hand(errand.source, errand.file, errand.settings)
    except LackingFileError as error:
        if error.flaws:
            logger.warning("%s: passed over: %s", errand.file.url, error)
        return None
    return errand.bring(path.resolve().as_uri(), name=f"{errand.file.url} (fetched by hand: {path})")


def fetch_from_drive(errand: Errand, url: str) -> Downloaded:
    """Bring a file that is shared with everybody.

    Small files come at once. For others Drive first shows a page with a form, whose hidden fields are sent back.

    Raises:
        TransientError: if Drive is out of reach, down or busy, in spite of patience.
        SourceError: if the file is not there or not shared, if its download quota is spent, or if it is not what it
            should be; says how to get it by hand.
    """
    name = shown(url, errand.settings)
    wanted = _Wanted(drive_id(url), name, _way_out(errand))
    at = url
    for _ in range(_MOST_PAGES):
        seen = errand.look(at, _PAGE_LIMIT, wanted=_EXPLAINED)
        if not is_page(seen.body, seen.content_type):
            return errand.bring(at, name=name)
        at = next_address(seen, at, wanted)
    raise SourceError(
        f"{name}: Google Drive shows one confirmation page after another; try again later, {wanted.way_out}"
    )


def _way_out(errand: Errand) -> str:
    place = folders(errand.source, errand.settings)[0]
    return (
        f"or download it in a browser that is signed in to Google and save it as {place}/{errand.file.name}, or give "
        "it an entry in a mirror (SCIRIFF_MIRROR)"
    )


def next_address(page: Answer, at: str, wanted: _Wanted) -> str:
    """Where the confirmation form of a page leads.

    Args:
        page: what Drive showed.
        at: its address, against which the form's is resolved.
        wanted: the file that the form must be about.

    Raises:
        SourceError: if the page is another one; says which.
    """
    from lxml import etree, html

    try:
        document = html.fromstring(page.body)
    except (ValueError, etree.LxmlError) as error:
        raise SourceError(
            f"{wanted.name}: expected a data file, found an unreadable page ({error}); try again later, "
            f"{wanted.way_out}"
        ) from error
    for form in document.iter("form"):
        action = urljoin(at, form.get("action", ""))
        target = urlsplit(action)
        fields = {field: each.get("value", "") for each in form.iter("input") if (field := each.get("name"))}
        if target.scheme == "https" and target.hostname in _FORM_HOSTS and fields.get("id") == wanted.file_id:
            return f"{action}?{urlencode(fields)}"
    texts = [" ".join("".join(map(str, each.itertext())).split()) for each in document.iter("title", "p")]
    said = ". ".join(text.rstrip(".") for text in texts if text)[:400] or "without words"
    raise SourceError(f"{wanted.name}: {_meaning(page.url, said)}, {wanted.way_out}")


def _meaning(url: str, said: str) -> str:
    """What a page without the form means, by its address and words."""
    if "quota" in said.lower() or "too many users" in said.lower():
        return (
            "too many people have downloaded this file from Google Drive lately, and its quota is spent (the page: "
            f"{said}); try again in a day"
        )
    if urlsplit(url).hostname == "accounts.google.com" or re.search(r"\bsign[ -]in\b", said, re.IGNORECASE):
        return (
            f"Google Drive wants a sign-in: the file is no longer shared with everybody (the page: {said}); look for "
            "it on the source's homepage"
        )
    return (
        f"expected a data file or Google Drive's confirmation form, found another page ({said}); open the address in a "
        "browser to see what is wanted"
    )
