"""Files of datasets on the Hugging Face Hub, at a fixed commit. Data files only; no code of a repository is ever run.

What is asked of ``huggingface_hub`` is what only it knows for certain: how an address is spelled on an endpoint, which
token the user has, and what the Hub's headers say of a file (commit, SHA-256 and size of large files) or of a refusal.
The bytes come by our own download, which keeps to its promises for every kind of source: resumed in a later process,
hashed while they stream, shown as they come, in place only when they are right.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

from sciriff.errors import BlockedError, SourceError
from sciriff.sources.addresses import HUB, HubFile, hub_file, is_on
from sciriff.sources.endpoints import routed
from sciriff.sources.errand import Errand, shown
from sciriff.sources.failures import RefusedError, UnavailableError
from sciriff.sources.http import Downloaded
from sciriff.sources.patience import (
    CONNECT_SECONDS,
    RetryPolicy,
    named_network_errors,
    patiently,
    require_success,
)

if TYPE_CHECKING:
    from huggingface_hub import HfFileMetadata
    from huggingface_hub.errors import HfHubHTTPError

_COMMIT = re.compile(r"[0-9a-f]{40}")
_SHA256 = re.compile(r"[0-9a-f]{64}")


def fetch_from_hub(errand: Errand, url: str) -> Downloaded:
    """Bring a file of a dataset, at the commit that is locked, else at the one its branch now has.

    Returns:
        The download, with the commit it came from.

    Raises:
        BlockedError: if the dataset is gated or private: says what to accept and which token to set.
        UnavailableError: if ``HF_HUB_OFFLINE`` forbids the network.
        TransientError: if the Hub is out of reach, down or busy, in spite of patience.
        SourceError: if there is no such dataset, revision or file, or if the file is not what it should be.
    """
    from huggingface_hub import get_token

    address = hub_file(url)
    commit = locked_commit(address, url, errand)
    token = get_token()
    seen = _metadata(errand, url, replace(address, revision=commit or address.revision), token)
    # For large files the entity tag is the content's SHA-256; for others it is a Git blob id, or a proxy's own.
    sha256 = seen.etag if seen.etag and _SHA256.fullmatch(seen.etag) else None
    if errand.sha256 and sha256 and sha256 != errand.sha256:
        raise SourceError(
            f"{shown(url, errand.settings)}: expected sha256 {errand.sha256}, found sha256 {sha256} at commit "
            f"{seen.commit_hash}; if the source has published a new file and you want it, accept it with "
            "--update-lock (update_lock=True); if sources.lock was changed by mistake, restore it; otherwise use a "
            "mirror"
        )
    fixed = _address_of(replace(address, revision=seen.commit_hash or commit or address.revision), HUB)
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    got = errand.bring(fixed, headers=headers, sha256=sha256, size=seen.size if sha256 else None)
    return replace(got, revision=seen.commit_hash or got.revision)


def locked_commit(address: HubFile, url: str, errand: Errand) -> str | None:
    """The commit to ask for, if it is decided.

    That is the one the file was fetched from, or another file of the same branch: so all files of a source are of one
    commit, also those that are fetched later.
    """
    if _COMMIT.fullmatch(address.revision):
        return address.revision
    siblings = (
        commit
        for other, commit in errand.revisions.items()
        if is_on(other, f"{HUB}/datasets/{address.dataset}/resolve") and hub_file(other).revision == address.revision
    )
    return errand.revisions.get(url) or next(siblings, None)


def _address_of(file: HubFile, endpoint: str) -> str:
    from huggingface_hub import hf_hub_url

    return hf_hub_url(file.dataset, file.path, repo_type="dataset", revision=file.revision, endpoint=endpoint)


def _metadata(errand: Errand, url: str, file: HubFile, token: str | None) -> HfFileMetadata:
    """What the Hub says of a file at a revision."""
    import httpx2
    from huggingface_hub import get_hf_file_metadata
    from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled

    endpoint = routed(HUB, errand.settings)
    name = shown(url, errand.settings)
    policy = errand.policy or RetryPolicy()

    def attempt() -> HfFileMetadata:
        with named_network_errors(name, httpx2):
            try:
                return get_hf_file_metadata(
                    _address_of(file, endpoint), token=token or False, timeout=CONNECT_SECONDS, endpoint=endpoint
                )
            except HfHubHTTPError as error:
                if (refusal := _refusal(error, name, file, token)) is not None:
                    raise refusal from error
                said = " ".join(filter(None, [error.response.reason_phrase, error.server_message]))
                require_success(error.response.status_code, said, error.response.headers, name, policy)
                raise  # a defect: an error for an answer below 400
            except OfflineModeIsEnabled as error:
                raise UnavailableError(
                    f"{name}: source not available: the Hub may not be asked (HF_HUB_OFFLINE); unset it, or put the "
                    "file into a mirror (SCIRIFF_MIRROR)"
                ) from error

    return patiently(attempt, name, policy)


def _refusal(error: HfHubHTTPError, name: str, file: HubFile, token: str | None) -> SourceError | BlockedError | None:
    """What a refusal means to the user; None for an answer that says nothing of the repository.

    The Hub answers 401 for a private repository and for one that does not exist, to those who show no token.
    """
    from huggingface_hub.errors import (
        DisabledRepoError,
        EntryNotFoundError,
        GatedRepoError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    status = error.response.status_code
    page = f"{HUB}/datasets/{file.dataset}"
    set_token = f"set HF_TOKEN to a token of that account with read access ({HUB}/settings/tokens)"
    if isinstance(error, RevisionNotFoundError):
        advice = (
            "its history was rewritten: accept what it has now with --update-lock (update_lock=True), or use a mirror"
            if _COMMIT.fullmatch(file.revision)
            else f"look at {page} for its branches, and put the file into a mirror (SCIRIFF_MIRROR)"
        )
        return RefusedError(f"{name}: the dataset {file.dataset} has no revision {file.revision}; {advice}", status)
    if isinstance(error, EntryNotFoundError):
        return RefusedError(
            f"{name}: the dataset {file.dataset} has no file {file.path} at revision {file.revision}; look at "
            f"{page}/tree/{file.revision} for where it is now, and put it into a mirror (SCIRIFF_MIRROR)",
            status,
        )
    if isinstance(error, GatedRepoError):
        known = "the account of your token (HF_TOKEN) has not been let in yet: " if token else ""
        return BlockedError(
            f"{name}: the dataset {file.dataset} is gated: {known}open {page}, accept its terms with your account, "
            f"and {set_token}"
        )
    if isinstance(error, DisabledRepoError):
        return RefusedError(f"{name}: the Hub has disabled the dataset {file.dataset}; use a mirror", status)
    if isinstance(error, RepositoryNotFoundError) and (token or status == 404):
        hidden = ", or the account of your token (HF_TOKEN) may not see it" if token else ""
        return RefusedError(
            f"{name}: there is no dataset {file.dataset} on the Hub{hidden}; it may have moved: look for it on the "
            "source's homepage, and put the file into a mirror (SCIRIFF_MIRROR)",
            status,
        )
    if status == 401 and token:
        return BlockedError(f"{name}: the Hub does not accept your token (HF_TOKEN); set a valid one, or unset it")
    if status in (401, 403):
        return BlockedError(
            f"{name}: the dataset {file.dataset} is private or does not exist: if {page} shows it to your account, "
            f"{set_token}; otherwise look for it on the source's homepage, and put the file into a mirror"
        )
    return None
