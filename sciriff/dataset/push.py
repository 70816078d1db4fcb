"""Uploading the combined dataset to a dataset repository of the Hugging Face Hub, or a server that speaks its API."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sciriff.building.combine import COMBINED, built_tasks, combine
from sciriff.building.progress import Progress
from sciriff.errors import BlockedError, SciriffError, UsageError
from sciriff.sources import catalogue
from sciriff.store import Store, temporary_folder

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass(frozen=True)
class PushOutcome:
    """What was uploaded.

    Attributes:
        repository: its id, ``owner/name``.
        url: the commit's address.
        windows: the configurations uploaded.
        tasks: the tasks in it, sorted.
        left_out: task -> why it is not in it: its licence, as far as stated, does not allow copies to be passed on.
        stand_ins: tasks in it that were built from bundled samples or partial sources.
    """

    repository: str
    url: str
    windows: tuple[int, ...]
    tasks: tuple[str, ...]
    left_out: dict[str, str]
    stand_ins: tuple[str, ...]


def push(
    store: Store,
    repository: str,
    *,
    endpoint: str,
    token: str | None = None,
    private: bool = False,
    revision: str | None = None,
    include_restricted: bool = False,
    include_samples: bool = False,
    progress: Progress,
) -> PushOutcome:
    """Combine what may be passed on and upload it in one commit; files of an earlier upload that are gone are deleted.

    Args:
        store: where the built tasks lie.
        repository: ``owner/name``; made if it does not exist.
        endpoint: address of the Hub.
        token: access token; None for that of the environment or of an earlier login.
        private: whether a repository made by this call is private.
        revision: branch to upload to; None for the main one.
        include_restricted: upload tasks, too, whose licence does not allow it as far as it is stated.
        include_samples: upload tasks, too, that were built from bundled samples.
        progress: where progress goes.

    Raises:
        UsageError: if nothing may be uploaded.
        BlockedError: if the server wants a (different) token.
        SciriffError: if the server refuses or cannot be reached.
    """
    from huggingface_hub import HfApi

    windows = sorted(int(name) for name in store.folders("instructions") if name.isdigit())
    manifests = {
        task: manifest
        for window in windows
        for task in built_tasks(store, window)
        if (manifest := store.read_manifest(f"instructions/{window}/{task}")) is not None
    }
    left_out = {
        task: reason
        for task, manifest in sorted(manifests.items())
        if (reason := _why_not(manifest, include_restricted, include_samples))
    }
    tasks = sorted(set(manifests) - set(left_out))
    if not tasks:
        reasons = "; ".join(f"{task}: {reason}" for task, reason in left_out.items())
        raise UsageError(f"nothing to upload from {store.path('')}: {reasons or 'no task is built'}")
    with temporary_folder() as folder, progress.stage("uploading", None) as stage:
        target = Store(str(folder))
        outcome = combine(store, windows=windows, tasks=tasks, target=target)
        stage.advance(note=f"{len(tasks)} tasks combined")
        with _named_hub_errors(repository, endpoint):
            api = HfApi(endpoint=endpoint, token=token)
            api.create_repo(repository, repo_type="dataset", private=private, exist_ok=True)
            commit = api.upload_folder(
                repo_id=repository,
                repo_type="dataset",
                folder_path=folder / COMBINED,
                revision=revision,
                commit_message=f"SciRIFF: {len(tasks)} tasks, windows {', '.join(map(str, windows))}",
                delete_patterns=["*.parquet", "*.jsonl", "*.json"],
            )
    return PushOutcome(
        repository,
        str(commit.commit_url),
        tuple(window.window for window in outcome.windows if window.tasks),
        tuple(tasks),
        left_out,
        tuple(task for task in tasks if manifests[task]["inputs"]["partial"]),
    )


def _why_not(manifest: dict[str, Any], include_restricted: bool, include_samples: bool) -> str:
    """Why a task may not be uploaded; empty if it may."""
    if manifest["inputs"]["sample"] and not include_samples:
        return "built from the bundled miniature sample; upload it all the same with --include-samples"
    licence = catalogue.source(manifest["inputs"]["source"]).licence
    if not licence.redistributable and not include_restricted:
        why = f"licence {licence.id} does not allow copies to be passed on, as far as it is stated"
        note = f" ({licence.note})" if licence.note else ""
        return f"{why}{note}; if you have the right to, use --include-restricted"
    return ""


@contextmanager
def _named_hub_errors(repository: str, endpoint: str) -> Iterator[None]:
    """Turn what the client raises into messages that say what to do; a token never stands in them."""
    import httpx
    from huggingface_hub.errors import HfHubHTTPError

    try:
        yield
    except HfHubHTTPError as error:
        status = error.response.status_code if error.response is not None else None
        if status in (401, 403):
            raise BlockedError(
                f"{endpoint} does not let you write to dataset {repository} (status {status}): log in with "
                "`hf auth login`, or set HF_TOKEN to a token that may write there"
            ) from error
        said = (error.server_message or "").strip() or str(error).splitlines()[0]
        raise SciriffError(
            f"{endpoint} refused the upload to dataset {repository} (status {status}): {said}"
        ) from error
    except (httpx.HTTPError, OSError) as error:
        raise SciriffError(
            f"the upload to dataset {repository} at {endpoint} broke off: {type(error).__name__}: {error}; nothing was "
            "committed there. Run the same command again"
        ) from error
