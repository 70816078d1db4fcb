"""Object stores of the S3 protocol: keys, patience, and uploads that leave nothing behind.

s3fs speaks the protocol. What it leaves open is settled here:

- **Patience.** botocore and s3fs would each try a request again, one inside the other, up to 25 times, without jitter,
  and neither would try again after a 500. Here botocore tries once, and :func:`_patiently` alone tries again: after
  lost connections, throttling and server errors, with pauses that grow and are jittered. Bodies that are cut on their
  way are asked for again by s3fs.
- **Errors.** What is given up is an :class:`OSError` whose ``remedy`` says what to do.
- **Cut uploads.** An object appears when its upload is complete. Of big files, sent in parts, S3 keeps (and bills) what
  came in, so a failed upload is aborted; and since a killed process cannot do that, each leaves a note in the cache for
  as long as an upload is open, by which the next run on the machine aborts it (:func:`abort_stale_uploads`).
"""

from __future__ import annotations

import asyncio
import io
import logging
import math
import os
import random
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson
from pydantic import SecretStr

from sciriff.owned import owned_name, was_left

if TYPE_CHECKING:
    from sciriff.settings import Settings

logger = logging.getLogger(__name__)

CONNECT_SECONDS = 10
"""How long a connection may take to be there."""
READ_SECONDS = 60
"""How long nothing may come on a connection."""
REQUEST_SECONDS = 600
"""How long one request may take: a file or part of 32 MiB at 0.5 Mbit/s."""
FIRST_PAUSE_SECONDS = 0.25
LONGEST_PAUSE_SECONDS = 16.0
"""Pauses between tries double from the first to the longest; each is shortened by up to half, at random."""
TOLD_PAUSE_SECONDS = 2.0
"""A pause that may be as long as this is told of in the log."""
PART_BYTES = 16 << 20
"""Files of more than two parts are sent in parts."""
PARTS_AT_ONCE = 4
READ_BYTES = 8 << 20
"""What a stream reads at a time."""
STALE_UPLOAD = timedelta(days=1)
"""An upload of one file that began before this is nobody's any more."""

_MOST_PARTS = 10_000
_NOTHING_THERE = 416
"""Status of an answer to who asks for bytes behind the end."""
_PASSING_STATUS = frozenset({408, 429, 500, 502, 503, 504})
_PASSING_CODES = frozenset(
    {
        "InternalError",
        "OperationAborted",
        "RequestTimeout",
        "RequestTimeoutException",
        "ServiceUnavailable",
        "SlowDown",
        "Throttling",
        "ThrottlingException",
        "TooManyRequests",
        "XAmzContentSHA256Mismatch",
    }
)
_KEYS = "the keys (SCIRIFF_S3_KEY and SCIRIFF_S3_SECRET, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY)"
_ADDRESS = "the address of the server (SCIRIFF_S3_ENDPOINT or AWS_ENDPOINT_URL)"
_AGAIN = "then run the same command again: what is done is not done twice"


@dataclass(frozen=True)
class S3Options:
    """How to reach a server of the S3 protocol; what is None comes from the usual ``AWS_*`` variables and files.

    Attributes:
        endpoint: its address; None for Amazon's.
        key: the id of the access key.
        secret: the secret access key.
        region: its region.
        attempts: most tries of one request.
        cache: local folder for notes on uploads that are open.
    """

    endpoint: str | None
    key: str | None
    secret: SecretStr | None
    region: str | None
    attempts: int
    cache: Path

    @classmethod
    def of(cls, settings: Settings) -> S3Options:
        """Take them from the settings, else from the variables that other tools read, else from ``.env``."""
        return cls(
            endpoint=settings.s3_endpoint or _variable("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"),
            key=settings.s3_key or _variable("AWS_ACCESS_KEY_ID"),
            secret=settings.s3_secret or _secret(_variable("AWS_SECRET_ACCESS_KEY")),
            region=settings.s3_region or _variable("AWS_REGION", "AWS_DEFAULT_REGION"),
            attempts=settings.s3_attempts,
            cache=settings.cache.absolute() / "uploads",
        )

    def arguments(self) -> dict[str, Any]:
        """What :func:`s3_filesystem` passes to s3fs. Every value is plain: equal options share one file system."""
        keys: dict[str, Any] = {}
        if self.key and self.secret:
            keys = {"key": self.key, "secret": self.secret.get_secret_value()}
            if self.key == _variable("AWS_ACCESS_KEY_ID") and (token := _variable("AWS_SESSION_TOKEN")):
                keys["token"] = token
        return {
            **keys,
            "endpoint_url": self.endpoint,
            "client_kwargs": {"region_name": self.region} if self.region else {},
            "config_kwargs": {
                "connect_timeout": CONNECT_SECONDS,
                "read_timeout": READ_SECONDS,
                "retries": {"total_max_attempts": 1},
                # Some servers give the checksum of the whole object with a part of it; manifests have better ones.
                "response_checksum_validation": "when_required",
            },
            "default_block_size": READ_BYTES,
            "max_concurrency": PARTS_AT_ONCE,
            "use_listings_cache": False,
            "attempts": self.attempts,
            "notes": str(self.cache),
        }


def _variable(*names: str) -> str | None:
    """The first of these variables that is set and not empty, in the environment or else in ``.env``."""
    from dotenv import dotenv_values

    found = (layer.get(name) for layer in (os.environ, dotenv_values(".env")) for name in names)
    return next((value.strip() for value in found if value and value.strip()), None)


def _secret(value: str | None) -> SecretStr | None:
    return SecretStr(value) if value else None


class S3Error(OSError):
    """A request that was given up.

    Attributes:
        remedy: what the user can do.
    """

    def __init__(self, message: str, remedy: str) -> None:
        super().__init__(message)
        self.remedy = remedy


def s3_filesystem(options: S3Options, *, remembering: bool = False) -> Any:
    """The file system of a server, one for equal options; or a new one that asks about each file once."""
    arguments = options.arguments()
    if remembering:
        arguments |= {"remembering": True, "use_listings_cache": True, "skip_instance_cache": True}
    return _filesystem_class()(**arguments)


@cache
def _filesystem_class() -> Any:
    import s3fs
    from botocore.handlers import add_expect_header

    class PatientS3FileSystem(s3fs.S3FileSystem):  # type: ignore[misc]
        """s3fs with the patience and the notes of this module."""

        def __init__(self, *, attempts: int, notes: str, remembering: bool = False, **arguments: Any) -> None:
            super().__init__(**arguments)
            self._known: dict[str, Any] | None = {} if remembering else None
            self.retries = attempts  # of bodies cut on their way
            self._attempts = attempts
            self._notes = Path(notes)

        async def set_session(self, refresh: bool = False, kwargs: Any = None) -> Any:
            client = await super().set_session(refresh, kwargs or {})
            # No `Expect: 100-continue`: aiohttp would wait for the answer to it for ever.
            client.meta.events.unregister("before-call.s3", add_expect_header)
            return client

        async def _call_s3(self, method: str, *positional: Any, **named: Any) -> Any:
            await self.set_session()
            call = getattr(await self.get_s3(named.get("Bucket")), method)
            arguments = self._get_s3_method_kwargs(call, *positional, **named)
            where = f"s3://{'/'.join(filter(None, (named.get('Bucket'), named.get('Key'))))}"
            answer = await _patiently(lambda: call(**arguments), where, self._attempts)
            if method == "create_multipart_upload":
                _note(self._notes, self.endpoint_url, named["Bucket"], named["Key"], answer["UploadId"])
            elif method in ("complete_multipart_upload", "abort_multipart_upload"):
                _forget(self._notes, named["UploadId"])
            return answer

        call_s3 = s3fs.core.sync_wrapper(_call_s3)

        async def _cat_file(self, path: str, *args: Any, **named: Any) -> Any:
            # One request, not one for the size before it.
            return await super()._cat_file(path, *args, **{"max_concurrency": 1, **named})

        async def _info(self, path: str, *args: Any, **named: Any) -> Any:
            if self._known is None:
                return await super()._info(path, *args, **named)
            if path not in self._known:
                self._known[path] = await super()._info(path, *args, **named)
            return self._known[path]

        async def _read_range(self, path: str, start: int, etag: str | None) -> tuple[bytes, int, str]:
            bucket, key, _ = self.split_path(path)
            await self.set_session()
            call = (await self.get_s3(bucket)).get_object
            unchanged = {"IfMatch": etag} if etag else {}
            asked = {"Bucket": bucket, "Key": key, "Range": f"bytes={start}-{start + READ_BYTES - 1}", **unchanged}

            async def read() -> tuple[bytes, int, str]:
                answer = await call(**self._get_s3_method_kwargs(call, **asked))
                async with answer["Body"] as body:
                    data = await body.read()
                size = int(answer.get("ContentRange", f"/{len(data)}").rpartition("/")[2])
                if etag not in (None, answer.get("ETag")):  # not every server knows If-Match
                    raise S3Error("it was replaced while it was read", _AGAIN.removeprefix("then "))
                return data, size, answer.get("ETag", "")

            try:
                return await _patiently(read, f"s3://{bucket}/{key}", self._attempts)  # type: ignore[no-any-return]
            except OSError as error:
                if start == 0 and _code_and_status(error.__cause__)[1] == _NOTHING_THERE:
                    return b"", 0, ""
                raise

        read_range = s3fs.core.sync_wrapper(_read_range)

        def open_stream(self, path: str) -> io.RawIOBase:
            return _S3Stream(self, path)

        async def _put_file(self, lpath: str, rpath: str, **named: Any) -> None:
            parts = max(PART_BYTES, math.ceil(Path(lpath).stat().st_size / _MOST_PARTS))
            try:
                await super()._put_file(lpath, rpath, **{"chunksize": parts, **named})
            except FileNotFoundError:  # a server that was restarted knows nothing of the parts it had
                await super()._put_file(lpath, rpath, **{"chunksize": parts, **named})

        async def _pipe_file(self, path: str, data: bytes, **named: Any) -> Any:
            parts = max(PART_BYTES, math.ceil(len(data) / _MOST_PARTS))
            return await super()._pipe_file(path, data, **{"chunksize": parts, **named})

        async def _versions_under(self, path: str) -> dict[str, str]:
            bucket, key, _ = self.split_path(path)
            prefix = f"{key}/" if key else ""
            return {
                entry["Key"].removeprefix(prefix): str(entry.get("ETag", "")).strip('"')
                async for page in self._list_pages("list_objects_v2", Bucket=bucket, Prefix=prefix)
                for entry in page.get("Contents", [])
                if not entry["Key"].endswith("/")
            }

        versions_under = s3fs.core.sync_wrapper(_versions_under)

        async def _abort_stale_uploads(self, path: str) -> int:
            bucket, key, _ = self.split_path(path)
            prefix = f"{key}/" if key else ""
            stale = {
                upload: (note["bucket"], note["key"])
                for upload, note in _notes_of_the_dead(self._notes)
                if note["endpoint"] == self.endpoint_url and note["bucket"] == bucket and note["key"].startswith(prefix)
            }
            oldest = datetime.now(UTC) - STALE_UPLOAD
            with suppress(OSError):  # not every server lists them, nor may every user
                found = await self._call_s3("list_multipart_uploads", Bucket=bucket, Prefix=prefix)
                stale |= {
                    each["UploadId"]: (bucket, each["Key"])
                    for each in found.get("Uploads", [])
                    if each["Initiated"] < oldest and each["Key"].startswith(prefix)
                }
            for upload, (owner, name) in stale.items():
                with suppress(OSError):
                    await self._abort_upload(owner, name, upload)
            return len(stale)

        async def _abort_upload(self, bucket: str, key: str, upload: str) -> None:
            with suppress(FileNotFoundError):  # the server knows of none: it was restarted, or another run was quicker
                await self._call_s3("abort_multipart_upload", Bucket=bucket, Key=key, UploadId=upload)
            _forget(self._notes, upload)

        async def _abort_mpu(self, bucket: str, key: str, mpu: str) -> None:
            # Called while the error that cut the upload is on its way up: that one is to be told.
            with suppress(OSError):
                await self._abort_upload(bucket, key, mpu)

        abort_stale_uploads = s3fs.core.sync_wrapper(_abort_stale_uploads)

    return PatientS3FileSystem


class _S3Stream(io.RawIOBase):
    """An object, read as far as it is needed: one request if it is small, and none for its size before.

    An object that was replaced meanwhile is an error: parts of two make no file.
    """

    def __init__(self, filesystem: Any, path: str) -> None:
        self._filesystem, self._path = filesystem, path
        self._place = self._start = 0
        self._block, self._size, self._etag = filesystem.read_range(path, 0, None)

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if self._place >= self._size:
            return 0
        if not self._start <= self._place < self._start + len(self._block):
            self._start = self._place
            self._block, _, _ = self._filesystem.read_range(self._path, self._start, self._etag)
        at = self._place - self._start
        data = self._block[at : at + len(buffer)]
        buffer[: len(data)] = data
        self._place += len(data)
        return len(data)

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._place = max(0, offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._place, io.SEEK_END: self._size}[whence])
        return self._place

    def tell(self) -> int:
        return self._place


async def _patiently(call: Callable[[], Awaitable[Any]], where: str, attempts: int) -> Any:
    """Make a request, again and again while that may help.

    Raises:
        OSError: if it does not; one of :class:`S3Error` where a remedy is known.
    """
    for attempt in range(1, attempts + 1):
        try:
            return await asyncio.wait_for(call(), REQUEST_SECONDS)
        except Exception as error:
            if isinstance(error, S3Error):
                raise
            if not _may_pass(error) or attempt == attempts:
                raise _explained(error, where, attempt) from error
            longest = min(LONGEST_PAUSE_SECONDS, FIRST_PAUSE_SECONDS * 2 ** (attempt - 1))
            pause = longest * random.uniform(0.5, 1.0)
            if longest >= TOLD_PAUSE_SECONDS:
                logger.warning(
                    "%s: %s; trying again in %.0f s (try %d of %d)", where, error, pause, attempt + 1, attempts
                )
            await asyncio.sleep(pause)
    raise AssertionError("at least one attempt")


def _may_pass(error: Exception) -> bool:
    from aiohttp import ClientPayloadError
    from botocore.exceptions import ClientError, HTTPClientError, IncompleteReadError, ResponseStreamingError
    from botocore.exceptions import ConnectionError as ConnectionFailed
    from botocore.parsers import ResponseParserError

    if isinstance(error, ClientError):
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode")
        return status in _PASSING_STATUS or error.response.get("Error", {}).get("Code") in _PASSING_CODES
    return isinstance(
        error,
        HTTPClientError
        | ConnectionFailed
        | IncompleteReadError
        | ResponseStreamingError
        | ResponseParserError
        | ClientPayloadError
        | TimeoutError
        | ConnectionError,
    )


def _explained(error: Exception, where: str, attempts: int) -> Exception:
    """The error to raise: an OSError with a remedy, and what is no error of the server as it is."""
    from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError, PartialCredentialsError
    from s3fs.errors import translate_boto_error

    tried = f" (tried {attempts} times)" if attempts > 1 else ""
    if isinstance(error, NoCredentialsError | PartialCredentialsError):
        return S3Error(f"there are no keys for it: {error}", f"set {_KEYS}, {_AGAIN}")
    if isinstance(error, ClientError):
        code, status = _code_and_status(error)
        said = error.response.get("Error", {}).get("Message") or code
        if code == "NoSuchBucket":
            bucket = where.removeprefix("s3://").partition("/")[0]
            return S3Error(
                f"the server has no bucket {bucket!r}", f"make the bucket, or correct its name and {_ADDRESS}; {_AGAIN}"
            )
        if status in (401, 403):
            told = f"the server refuses it: {code}: {said}" if code != str(status) else "the server refuses it (403)"
            return S3Error(told, f"check {_KEYS} and what they may do; {_AGAIN}")
        if _may_pass(error):
            return S3Error(
                f"the server is too busy or broken: {code}: {said}{tried}", f"wait until it is well again, {_AGAIN}"
            )
        return translate_boto_error(error)  # type: ignore[no-any-return]
    if _may_pass(error):
        what = str(error) or f"no answer within {REQUEST_SECONDS} s"
        return S3Error(f"{what}{tried}", f"check that the server runs and can be reached, and {_ADDRESS}; {_AGAIN}")
    if isinstance(error, BotoCoreError):
        return S3Error(str(error), f"check the S3 settings: {_ADDRESS}, {_KEYS} and the region")
    return error


def _code_and_status(error: Any) -> tuple[str, int]:
    response = getattr(error, "response", None) or {}
    return (
        str(response.get("Error", {}).get("Code", "")),
        int(response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)),
    )


def _note(folder: Path, endpoint: str | None, bucket: str, key: str, upload: str) -> None:
    """Remember an open upload. Without a note it is aborted when it is old."""
    note = {"endpoint": endpoint, "bucket": bucket, "key": key, "upload": upload}
    with suppress(OSError):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / owned_name()).write_bytes(orjson.dumps(note))


def _forget(folder: Path, upload: str) -> None:
    for path, note in _read_notes(folder):
        if note["upload"] == upload:
            path.unlink(missing_ok=True)


def _notes_of_the_dead(folder: Path) -> list[tuple[str, Mapping[str, str]]]:
    """Upload -> note, of processes of this machine that are no more."""
    return [(note["upload"], note) for path, note in _read_notes(folder) if was_left(path.name)]


def _read_notes(folder: Path) -> list[tuple[Path, Mapping[str, str]]]:
    notes: list[tuple[Path, Mapping[str, str]]] = []
    with suppress(FileNotFoundError):
        for path in sorted(folder.iterdir()):
            with suppress(OSError, orjson.JSONDecodeError):
                note = orjson.loads(path.read_bytes())
                if isinstance(note, dict) and note.keys() >= {"endpoint", "bucket", "key", "upload"}:
                    notes.append((path, note))
    return notes
