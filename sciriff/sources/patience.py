"""Trying again: which failures may pass, how long to wait after them, and when to give up."""

from __future__ import annotations

import re
import ssl
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, TypeVar

from sciriff.errors import SourceError, TransientError
from sciriff.sources.failures import RefusedError, UnreachableError

if TYPE_CHECKING:
    import tenacity

Result = TypeVar("Result")

CONNECT_SECONDS = 15.0
SILENCE_SECONDS = 60.0

_RETRIED_STATUS = frozenset({408, 425, 429, 500, 502, 503, 504, 507, 509, 520, 521, 522, 523, 524})
_MOST_ATTEMPTS = 200


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How patient a download is.

    Attributes:
        attempts: failures in a row, without a single new byte, before an address is given up.
        connect_attempts: the same for failures to connect at all.
        first_wait: upper bound of the first random wait in seconds; doubles with each attempt.
        longest_wait: upper bound of any such wait in seconds.
        longest_retry_after: longest wait in seconds that a server may ask for.
        sleep: how to wait.
    """

    attempts: int = 5
    connect_attempts: int = 2
    first_wait: float = 1.0
    longest_wait: float = 60.0
    longest_retry_after: float = 300.0
    sleep: Callable[[float], None] = time.sleep


class TryAgainError(Exception):
    """This attempt failed in a way that may pass; never leaves :func:`patiently`.

    Args:
        reason: what happened.
        retry_after: seconds that the server asks to wait, if it does.
        unreachable: whether no connection came about at all.
    """

    def __init__(self, reason: str, *, retry_after: float | None = None, unreachable: bool = False) -> None:
        super().__init__(reason)
        self.retry_after = retry_after
        self.unreachable = unreachable


def patiently(
    attempt: Callable[[], Result],
    name: str,
    policy: RetryPolicy,
    *,
    received: Callable[[], int] = lambda: 0,
    advice: str = "run the command again later, or use a mirror (SCIRIFF_MIRROR)",
) -> Result:
    """Call ``attempt`` until it does not raise :class:`TryAgainError`, waiting in between.

    Args:
        attempt: what to do.
        name: the address, as messages call it.
        policy: when to give up.
        received: bytes received so far: while they grow, failures do not count, so a large file over a bad line is
            not given up.
        advice: what the user can do once it is given up.

    Raises:
        UnreachableError: if the server cannot be connected to.
        TransientError: if it is given up for another reason.
    """
    import tenacity

    patience = _Patience(policy, received)
    retrying = tenacity.Retrying(
        retry=tenacity.retry_if_exception_type(TryAgainError),
        stop=patience.exhausted,
        wait=patience.wait,
        sleep=policy.sleep,
        reraise=True,
    )
    try:
        return retrying(attempt)
    except TryAgainError as error:
        if error.unreachable:
            raise UnreachableError(
                f"{name}: source not available: cannot be reached ({error}); check the network and proxy settings, or "
                "use a mirror (SCIRIFF_MIRROR)"
            ) from error
        raise TransientError(
            f"{name}: given up after {patience.failures} failures in a row, the last: {error}; {advice}"
        ) from error


class _Patience:
    """Counts the failures in a row that brought no new byte."""

    def __init__(self, policy: RetryPolicy, received: Callable[[], int]) -> None:
        import tenacity

        self._policy = policy
        self._received = received
        self._reached = received()
        self._backoff = tenacity.wait_random_exponential(multiplier=policy.first_wait, max=policy.longest_wait)
        self.failures = 0

    def exhausted(self, state: tenacity.RetryCallState) -> bool:
        size = self._received()
        self.failures = 1 if size > self._reached else self.failures + 1
        self._reached = max(size, self._reached)
        error = _failure(state)
        limit = self._policy.connect_attempts if error.unreachable else self._policy.attempts
        return self.failures >= limit or state.attempt_number >= _MOST_ATTEMPTS

    def wait(self, state: tenacity.RetryCallState) -> float:
        asked = _failure(state).retry_after
        return asked if asked is not None else self._backoff(state)


def _failure(state: tenacity.RetryCallState) -> TryAgainError:
    error = state.outcome.exception() if state.outcome is not None else None
    if not isinstance(error, TryAgainError):
        raise TypeError(f"retried after {error!r}")  # a defect: only TryAgainError is retried
    return error


def require_success(status: int, said: str, headers: Mapping[str, str], name: str, policy: RetryPolicy) -> None:
    """Pass on only if the status of an answer is below 400.

    Args:
        status: HTTP status.
        said: what the server said about it, in its own words.
        headers: of the answer, by names in any case (as HTTP clients have them).
        name: the address, as messages call it.
        policy: how long a server may ask to wait.

    Raises:
        TryAgainError: if the status is one that may pass.
        RefusedError: if it is not, or if the server asks to wait for longer than a run should: that does not pass
            while anybody waits for it.
    """
    if status < 400:
        return
    answer = f"the server answered {status} {said}".rstrip()
    if status not in _RETRIED_STATUS:
        raise RefusedError(
            f"{name}: expected the file, {answer}; it may have moved: look for it on the source's homepage, and put it "
            "into a mirror (SCIRIFF_MIRROR)",
            status,
        )
    asked = seconds_asked(headers)
    if asked is not None and asked > policy.longest_retry_after:
        raise RefusedError(
            f"{name}: {answer} and asks to come back in {asked:.0f} s; run the command again then", status
        )
    raise TryAgainError(answer, retry_after=asked)


def seconds_asked(headers: Mapping[str, str]) -> float | None:
    """Seconds that an answer asks to wait.

    By Retry-After (RFC 9110, 10.2.3: a number of seconds or a date), or by a RateLimit with nothing left
    (draft-ietf-httpapi-ratelimit-headers-09: ``"name";r=<requests left>;t=<seconds to more>``), as the Hugging Face
    Hub has it. A date is held against the server's own clock (Date), where it tells it: ours may be hours off.
    """
    value = headers.get("Retry-After", "").strip()
    if value.isdigit():
        return float(value)
    moment = _moment(value)
    if moment is None:
        spent = re.search(r";\s*r=0\s*;\s*t=(\d+)", headers.get("RateLimit", ""))
        return float(spent[1]) if spent else None
    now = _moment(headers.get("Date", "")) or datetime.now(UTC)
    return max(0.0, (moment - now).total_seconds())


def _moment(date: str) -> datetime | None:
    """A date of a header; None if it is none."""
    try:
        moment = parsedate_to_datetime(date)
    except ValueError:
        return None
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)


@contextmanager
def named_network_errors(name: str, client: Any) -> Iterator[None]:
    """Say what the errors of an HTTP client mean for an attempt.

    Args:
        name: the address, as messages call it.
        client: the client library: ``httpx``, or ``httpx2`` with the same errors.

    Raises:
        TryAgainError: if the connection failed or was lost.
        SourceError: if trying again is of no use.
    """
    try:
        yield
    except (client.ConnectError, client.ConnectTimeout, client.ProxyError) as error:
        if _is_certificate_error(error):
            raise SourceError(
                f"{name}: the server's certificate is not trusted ({error}); set SSL_CERT_FILE to your authority's "
                "certificates"
            ) from error
        raise TryAgainError(f"{type(error).__name__}: {error}", unreachable=True) from error
    except client.UnsupportedProtocol as error:
        raise SourceError(f"{name}: {error}; check the address") from error
    except client.TransportError as error:
        raise TryAgainError(f"{type(error).__name__}: {error}") from error
    except (client.HTTPError, client.InvalidURL) as error:
        raise SourceError(f"{name}: {type(error).__name__}: {error}; check the address") from error


def _is_certificate_error(error: BaseException) -> bool:
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return True
        cause = cause.__cause__ or cause.__context__
    return False
