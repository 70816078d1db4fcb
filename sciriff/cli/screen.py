"""What the command prints passes through here: harmless for a terminal, and without secrets.

Texts of papers, prompts, replies and messages of servers are written by strangers. An escape sequence in them could
retitle the window, write to the clipboard, colour or overwrite what stands there; a bidirectional override could make
one thing read as another. So control characters are shown as pictures (``␛``) or escapes, where people read: on
standard error, on a terminal, and in text on standard output. Bytes that other programs read (``--json``, ``--csv``,
the prompt of ``sciriff prompt``) reach a file or a pipe as they are.
"""

from __future__ import annotations

import io
import re
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import TracebackType
from typing import Any, TextIO

from sciriff.redaction import redacted, without_known

_HARMFUL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufff9-\ufffb]")
_LINE_END = re.compile("\r\n")


def harmless(text: str) -> str:
    """A text without characters that steer a terminal; line feeds and tabs stay."""
    if text.isascii() and text.isprintable():
        return text
    return _HARMFUL.sub(_shown, _LINE_END.sub("\n", text))


def _shown(match: re.Match[str]) -> str:
    code = ord(match[0])
    if code < 0x20:
        return chr(0x2400 + code)
    if code == 0x7F:
        return "␡"
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"


class Screen:
    """A text stream in front of another one, which cleans what is written. All else is the other one's."""

    def __init__(self, stream: TextIO, clean: Callable[[str], str]) -> None:
        self.stream = stream
        self._clean = clean

    def __getattr__(self, name: str) -> Any:
        """All else."""
        return getattr(self.stream, name)

    def write(self, text: str) -> int:
        """Write a text, cleaned."""
        self.stream.write(self._clean(text))
        return len(text)

    def writelines(self, lines: Any) -> None:
        """Write texts, cleaned."""
        for line in lines:
            self.write(line)

    @property
    def buffer(self) -> Any:
        """Where bytes are written: as they are, unless a terminal would read them."""
        below = self.stream.buffer
        return _ScreenBytes(self) if self.stream.isatty() else below

    @property
    def encoding(self) -> str:
        """UTF-8 as far as others are concerned: they write here, and never below."""
        return "utf-8"


class _ScreenBytes(io.RawIOBase):
    """Bytes for a terminal."""

    def __init__(self, screen: Screen) -> None:
        super().__init__()
        self._screen = screen

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self._screen.write(bytes(data).decode("utf-8", "replace"))
        return len(data)

    def flush(self) -> None:
        self._screen.flush()


@contextmanager
def screened() -> Iterator[None]:
    """Let all that this process prints pass through here, tracebacks of defects as well."""
    out, err, hook = sys.stdout, sys.stderr, sys.excepthook
    for stream in (out, err):
        with suppress(AttributeError, ValueError, OSError):
            stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]  # an ASCII terminal
    sys.stdout = Screen(out, lambda text: harmless(without_known(text)))
    sys.stderr = Screen(err, lambda text: harmless(redacted(text)))
    sys.excepthook = _print_traceback
    try:
        yield
    finally:
        sys.stdout, sys.stderr = out, err
        if hook is not sys.__excepthook__:
            sys.excepthook = hook


def _print_traceback(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    text = "".join(traceback.format_exception(kind, error, trace))
    print(harmless(redacted(text)), end="", file=sys.stderr)


def unscreened(stream: TextIO) -> TextIO:
    """The stream behind a screen, for what draws on a terminal and cleans its texts itself (moving bars)."""
    return stream.stream if isinstance(stream, Screen) else stream
