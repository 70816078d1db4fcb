"""The small files of a checkpoint: how it splits text, how it wraps a conversation, how long its context is.

Data files only (``config.json``, ``tokenizer.json``, ``tokenizer_config.json``, ``chat_template.jinja``); no code of a
repository is ever run, and nothing here needs transformers.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from sciriff.building.tokens import TokenCounter
from sciriff.errors import BlockedError, SourceError
from sciriff.models.registry import ModelSpec
from sciriff.settings import Settings

if TYPE_CHECKING:
    from tokenizers import Tokenizer

_SPECIAL_TOKENS = ("bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token")
_SNAPSHOT = re.compile(r"/snapshots/([0-9a-f]{40})/")


@dataclass(frozen=True)
class Checkpoint:
    """What can be known of weights without loading them.

    Attributes:
        name: the model's name, for messages.
        commit: commit of the Hub's repository that the files are of; None for a local folder.
        context_tokens: most tokens of prompt and reply together; None if nothing says.
        chat_template: Jinja source of the tokenizer's own chat template; None if it has none.
        special_tokens: ``bos_token`` and so on -> text, as far as the tokenizer has them.
        tokenizer_path: its ``tokenizer.json``; None if it has none or cannot be had.
    """

    name: str
    commit: str | None
    context_tokens: int | None
    chat_template: str | None
    special_tokens: Mapping[str, str]
    tokenizer_path: Path | None

    @cached_property
    def counter(self) -> TokenCounter | None:
        """What counts its tokens; None if its file cannot be had.

        Raises:
            UsageError: if the file is damaged.
        """
        return None if self.tokenizer_path is None else TokenCounter(self.tokenizer_path)

    @cached_property
    def tokenizer(self) -> Tokenizer | None:
        """The tokenizer, without truncation and padding; None if its file cannot be had.

        Raises:
            SourceError: if the file is damaged.
        """
        from tokenizers import Tokenizer

        if self.tokenizer_path is None:
            return None
        try:
            tokenizer = Tokenizer.from_file(str(self.tokenizer_path))
        except Exception as error:  # the Rust library raises bare Exception
            raise SourceError(f"model {self.name}: {self.tokenizer_path} is no tokenizer: {error}") from error
        tokenizer.no_truncation()
        tokenizer.no_padding()
        return tokenizer


def open_checkpoint(spec: ModelSpec, settings: Settings) -> Checkpoint:
    """Find the files of a model's weights, in its local folder or on the Hub, and read them.

    Offline, what the Hub's own cache lacks counts as not there.

    Raises:
        BlockedError: if the repository is gated or private.
        SourceError: if there is no such repository or revision, the Hub is out of reach, or a file is damaged.
    """
    config_path = _find("config.json", spec, settings)
    config = _read_json(config_path, spec)
    tokenizer_config = _read_json(_find("tokenizer_config.json", spec, settings), spec)
    template_path = _find("chat_template.jinja", spec, settings)
    snapshot = _SNAPSHOT.search(config_path.as_posix()) if config_path is not None else None
    return Checkpoint(
        name=spec.name,
        commit=snapshot[1] if snapshot and spec.folder is None else None,
        context_tokens=spec.context_tokens or _context_tokens(config),
        chat_template=(
            template_path.read_text(encoding="utf-8")
            if template_path is not None
            else _default_template(tokenizer_config.get("chat_template"))
        ),
        special_tokens=_special_tokens(tokenizer_config),
        tokenizer_path=_find("tokenizer.json", spec, settings),
    )


def _find(name: str, spec: ModelSpec, settings: Settings) -> Path | None:
    if (folder := spec.folder) is not None:
        return folder / name if (folder / name).is_file() else None
    assert spec.weights is not None
    return _from_hub(spec.weights, name, spec.revision, settings)


def _from_hub(repository: str, name: str, revision: str | None, settings: Settings) -> Path | None:
    from huggingface_hub import constants, hf_hub_download
    from huggingface_hub.errors import (
        EntryNotFoundError,
        GatedRepoError,
        HfHubHTTPError,
        LocalEntryNotFoundError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    offline = settings.offline or constants.HF_HUB_OFFLINE
    try:
        return Path(
            hf_hub_download(
                repository,
                name,
                revision=revision,
                local_files_only=offline,
                endpoint=settings.hub_endpoint,
                etag_timeout=10,
            )
        )
    except LocalEntryNotFoundError as error:
        if offline:
            return None
        raise SourceError(f"{repository}: {name} cannot be had: the Hub is out of reach ({error})") from error
    except EntryNotFoundError:
        return None
    except GatedRepoError as error:
        page = f"{settings.hub_endpoint}/{repository}"
        raise BlockedError(
            f"{repository} is gated: open {page}, accept its terms with your account, and set HF_TOKEN to a token of it"
        ) from error
    except RevisionNotFoundError as error:
        raise SourceError(f"{repository} has no revision {revision}") from error
    except RepositoryNotFoundError as error:
        raise SourceError(
            f"there is no repository {repository} on the Hub, or it is private (then set HF_TOKEN)"
        ) from error
    except (HfHubHTTPError, OSError) as error:
        raise SourceError(f"{repository}: {name} cannot be had from the Hub: {error}") from error


def _read_json(path: Path | None, spec: ModelSpec) -> Mapping[str, Any]:
    if path is None:
        return {}
    try:
        content = orjson.loads(path.read_bytes())
    except (OSError, orjson.JSONDecodeError) as error:
        raise SourceError(f"model {spec.name}: {path} cannot be read: {error}") from error
    if not isinstance(content, dict):
        raise SourceError(f"model {spec.name}: {path}: expected an object, found {type(content).__name__}")
    return content


def _context_tokens(config: Mapping[str, Any]) -> int | None:
    """Length of the position table, also of a model whose text part has a configuration of its own."""
    nested = config.get("text_config")
    for part in (config, nested if isinstance(nested, dict) else {}):
        length = part.get("max_position_embeddings")
        if isinstance(length, int) and length > 0:
            return length
    return None


def _default_template(stated: Any) -> str | None:
    """The template, or the one called default of several."""
    if isinstance(stated, list):
        named = {str(each.get("name")): each.get("template") for each in stated if isinstance(each, dict)}
        stated = named.get("default")
    return stated if isinstance(stated, str) and stated else None


def _special_tokens(config: Mapping[str, Any]) -> dict[str, str]:
    tokens = {}
    for name in _SPECIAL_TOKENS:
        stated = config.get(name)
        text = stated.get("content") if isinstance(stated, dict) else stated
        if isinstance(text, str):
            tokens[name] = text
    return tokens
