"""Finding the tokenizer that a build counts with."""

from __future__ import annotations

from pathlib import Path

from sciriff.building.tokens import TokenizerFile
from sciriff.errors import SourceError, UsageError
from sciriff.hashing import file_sha256
from sciriff.resources import resource_dir
from sciriff.settings import DEFAULT_TOKENIZER, Settings

_FILE_NAME = "tokenizer.json"


def bundled_tokenizer() -> TokenizerFile:
    """The small Llama-2-style tokenizer that comes with the samples."""
    path = resource_dir("samples") / _FILE_NAME
    return TokenizerFile(f"bundled sample tokenizer ({_FILE_NAME})", path, file_sha256(path))


def find_tokenizer(settings: Settings) -> TokenizerFile:
    """Find the tokenizer of the settings: a file, a folder, a Hub repository, or the default.

    The default is a Hub repository with the Llama-2 vocabulary; offline and sample builds take the bundled one.

    Raises:
        UsageError: if a named file does not exist.
        SourceError: if the Hub repository cannot be had.
    """
    name = settings.tokenizer
    if name is None:
        if settings.offline or settings.samples == "always":
            return bundled_tokenizer()
        return _from_hub(DEFAULT_TOKENIZER, settings)
    path = Path(name)
    if path.is_dir():
        path = path / _FILE_NAME
    if path.is_file():
        return TokenizerFile(path.name, path.resolve(), file_sha256(path))
    if path.suffix or path.is_absolute() or name.startswith(".") or name.count("/") > 1:
        raise UsageError(
            f"tokenizer {name!r}: there is no such file; give a tokenizer.json or the name of a Hub repository"
        )
    return _from_hub(name, settings)


def _from_hub(repository: str, settings: Settings) -> TokenizerFile:
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    try:
        path = Path(
            hf_hub_download(
                repository,
                _FILE_NAME,
                local_files_only=settings.offline,
                endpoint=settings.hub_endpoint,
                etag_timeout=10,
            )
        )
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        raise SourceError(
            f"tokenizer {repository!r} cannot be had from the Hub ({type(error).__name__}); give a local "
            "tokenizer.json with --tokenizer, or set SCIRIFF_OFFLINE=1 to count with the small bundled one"
        ) from error
    return TokenizerFile(repository, path, file_sha256(path))
