"""The environment that every template is compiled and rendered in.

Jinja's sandbox keeps a template from reaching anything. It leaves open how much a template does: loops in loops, texts
made of texts, ``'%999999999d' % 1``, lists that hold a list twice, and so on. Here every loop, call, filter and
operator is counted, and what it makes is weighed (:mod:`sciriff.sandbox.budget`). It works in any thread and process,
since no signal and no other thread takes part, and refuses the same templates on any machine.
"""

from __future__ import annotations

import types
from collections.abc import Callable, Iterable, Iterator
from functools import wraps
from typing import TYPE_CHECKING, Any

from jinja2 import Template, TemplateSyntaxError, nodes, pass_context
from jinja2.exceptions import SecurityError
from jinja2.runtime import LoopContext
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.visitor import NodeTransformer

from sciriff.sandbox.budget import (
    STEP,
    BoundError,
    check_size,
    close_count,
    open_count,
    spend,
    weight,
)
from sciriff.sandbox.sizes import (
    OF_FILTERS,
    OF_TEXT_METHODS,
    of_brace_format,
    of_power,
    of_product,
    of_remainder,
)

if TYPE_CHECKING:
    from jinja2.runtime import Context

LONGEST_SOURCE = 1 << 20
"""Characters of a template."""

LONGEST_RANGE = 100_000

CALL = 4 * STEP
_STEPS_AT_ONCE = 256
_SMALL = 256  # characters that a step may make without being counted
_READY = frozenset({str, list, tuple, dict, int, float})
_PLAIN = frozenset({str, int, float, bool, type(None)})
_OPERATORS = {"*": of_product, "**": of_power, "%": of_remainder}
_REFUSED_METHODS = frozenset({"encode", "to_bytes", "from_bytes", "fromhex", "maketrans"})
_FREE_FILTERS = frozenset({"length", "count"})
_UNWANTED_FILTERS = ("pprint", "random", "urlize", "xmlattr")
"""What draws random numbers, prints addresses of memory, or searches with quadratic effort."""

# Names of filters of our own, which no template can write.
_LOOP, _CONCAT, _LITERAL = "a loop", "a chain of ~", "a literal"


class _BoundedTemplate(Template):
    def render(self, *args: Any, **kwargs: Any) -> str:
        outer = open_count()
        try:
            return super().render(*args, **kwargs)
        finally:
            close_count(outer)


class BoundedEnvironment(ImmutableSandboxedEnvironment):
    """A sandbox with bounds. A template that goes beyond raises :class:`BoundError`, which is a SecurityError."""

    template_class = _BoundedTemplate
    intercepted_binops = frozenset(ImmutableSandboxedEnvironment.default_binop_table)

    def __init__(self, **options: Any) -> None:
        super().__init__(finalize=_checked_output, **options)
        del self.globals["lipsum"]
        self.globals["range"] = _range
        for name in _UNWANTED_FILTERS:
            del self.filters[name]
        for name in self.filters.keys() - _FREE_FILTERS:
            self.set_filter(name, self.filters[name])
        self.filters |= {_LOOP: _counted, _CONCAT: _chained, _LITERAL: _weighed}

    def set_filter(self, name: str, function: Callable[..., Any]) -> None:
        """Add a filter, or put another one in its place, within the bounds."""
        self.filters[name] = _bounded_filter(function, OF_FILTERS.get(name))

    def from_string(self, source: str | nodes.Template, *args: Any, **kwargs: Any) -> Template:
        """Compile a template.

        Raises:
            TemplateSyntaxError: if it is none, or is too long or too deeply nested.
            SecurityError: if it goes beyond the bounds already while it is compiled.
        """
        if isinstance(source, str):
            source = self.parse(source)
        outer = open_count()
        try:
            with _named_excess():
                return super().from_string(source, *args, **kwargs)
        finally:
            close_count(outer)

    def parse(self, source: str, *args: Any, **kwargs: Any) -> nodes.Template:
        """Parse a template. Raises as :meth:`from_string`."""
        if len(source) > LONGEST_SOURCE:
            raise TemplateSyntaxError(f"{len(source):,} characters; a template may have {LONGEST_SOURCE:,}", 1)
        with _named_excess():
            return super().parse(source, *args, **kwargs)

    def _generate(self, source: nodes.Template, *args: Any, **kwargs: Any) -> str:
        _Counting().visit(source)
        return super()._generate(source, *args, **kwargs)

    @staticmethod
    def concat(parts: Iterable[str]) -> str:
        """Join pieces of output; called by compiled templates."""
        kept = list(parts)
        size = sum(map(len, kept))
        check_size(size)
        spend(size)
        return "".join(kept)

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        """Carry out an operator; called by compiled templates."""
        if operator in _OPERATORS:
            check_size(_OPERATORS[operator](left, right))
        made = super().call_binop(context, operator, left, right)
        spend(STEP)
        _spend_on(made)
        return made

    def call(__self, __context: Context, __obj: Any, *args: Any, **kwargs: Any) -> Any:  # noqa: N805
        """Call a function, method or macro; called by compiled templates."""
        spend(CALL)
        if isinstance(__obj, types.BuiltinMethodType):
            _check_method(__obj, args, kwargs)
        elif isinstance(__obj, LoopContext):
            args = tuple(map(_steps, args))
        elif (args or kwargs) and __obj is not zip:
            spend(weight((args, kwargs)))
        try:
            made = super().call(__context, __obj, *args, **kwargs)
        except RecursionError:
            raise BoundError("a macro, a block or a loop calls itself without end") from None
        _spend_on(made)
        return made

    def wrap_str_format(self, value: Any) -> Callable[..., str] | None:
        """Let ``text.format`` reach nothing, and make no more than it may."""
        wrapped = None if type(value) in _PLAIN else super().wrap_str_format(value)
        if wrapped is None:
            return None
        pattern = value.__self__

        @wraps(wrapped)
        def checked(*args: Any, **kwargs: Any) -> str:
            check_size(of_brace_format(pattern, (args, kwargs)))
            made: str = wrapped(*args, **kwargs)
            return made

        return checked


class _named_excess:  # noqa: N801 - a context manager, in two lines less than a generator
    """What Jinja's and Python's compilers raise on templates that are too much for them, as a syntax error."""

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: object) -> None:
        if isinstance(error, RecursionError | MemoryError | OverflowError | SyntaxError | ValueError):
            raise TemplateSyntaxError(f"too much for the compiler ({type(error).__name__}: {error})", 1) from None


class _Counting(NodeTransformer):
    """Puts our filters around what Jinja calls no hook for: loops, chains of ``~``, literals that are not constant."""

    def visit_For(self, node: nodes.For) -> nodes.Node:  # noqa: N802 - as jinja2 calls it
        self.generic_visit(node)
        node.iter = _filtered(node.iter, _LOOP)
        return node

    def visit_Concat(self, node: nodes.Concat) -> nodes.Node:  # noqa: N802
        self.generic_visit(node)
        return _filtered(nodes.List(node.nodes, lineno=node.lineno), _CONCAT)

    def visit_List(self, node: nodes.List) -> nodes.Node:  # noqa: N802
        return self._literal(node, node.items)

    def visit_Tuple(self, node: nodes.Tuple) -> nodes.Node:  # noqa: N802
        return self._literal(node, node.items) if node.ctx == "load" else node

    def visit_Dict(self, node: nodes.Dict) -> nodes.Node:  # noqa: N802
        return self._literal(node, [side for pair in node.items for side in (pair.key, pair.value)])

    def _literal(self, node: nodes.Expr, items: Iterable[nodes.Node]) -> nodes.Node:
        if all(isinstance(item, nodes.Const) for item in items):
            return node
        self.generic_visit(node)
        return _filtered(node, _LITERAL)


def _filtered(node: nodes.Node, name: str) -> nodes.Filter:
    return nodes.Filter(node, name, [], [], None, None, lineno=node.lineno)


class _Steps:
    """The elements of something long, counted while they are taken."""

    def __init__(self, items: Iterable[Any]) -> None:
        self._items = items

    def __iter__(self) -> Iterator[Any]:
        for number, item in enumerate(self._items):
            if number % _STEPS_AT_ONCE == 0:
                spend(_STEPS_AT_ONCE * STEP)
            yield item


class _SizedSteps(_Steps):
    def __len__(self) -> int:
        return len(self._items)  # type: ignore[arg-type]


def _steps(items: Any) -> Any:
    """What a loop goes over, with its steps counted; short ones beforehand."""
    try:
        length = len(items)
    except TypeError:
        spend(STEP)
        return _Steps(items)
    if length > _STEPS_AT_ONCE:
        return _SizedSteps(items)
    spend(STEP * (1 + length))
    return items


def _range(*bounds: int) -> range:
    numbers = range(*bounds)
    # Not len(), which fails beyond what a machine word holds.
    if (numbers.stop - numbers.start) // numbers.step > LONGEST_RANGE:
        raise BoundError(f"a range goes beyond {LONGEST_RANGE:,} numbers")
    return numbers


@pass_context
def _counted(_: Context, items: Any) -> Any:
    return _steps(items)


@pass_context
def _chained(_: Context, items: list[Any]) -> str:
    check_size(weight(items))
    text = "".join(map(str, items))
    spend(STEP + len(text))
    return text


@pass_context
def _weighed(_: Context, value: Any) -> Any:
    spend(STEP + weight(value))
    return value


def _spend_on(made: Any) -> None:
    if isinstance(made, str):
        size = len(made)
        if size > _SMALL:
            check_size(size)
            spend(size)
    elif type(made) not in _PLAIN:
        spend(weight(made))


def _checked_output(value: Any) -> Any:
    """What stands between ``{{`` and ``}}``, before it becomes text."""
    if type(value) not in _PLAIN:
        spend(weight(value))
    return value


def _check_method(method: types.BuiltinMethodType, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    owner, name = method.__self__, method.__name__
    if isinstance(owner, str):
        if name not in OF_TEXT_METHODS:
            raise SecurityError(f"the method {name!r} of a text is not for templates")
        bound = OF_TEXT_METHODS[name]
        if bound is not None:
            check_size(bound(owner, *args, **kwargs))
    elif isinstance(owner, bytes | bytearray) or name in _REFUSED_METHODS:
        raise SecurityError(f"the method {name!r} of {type(owner).__name__} is not for templates")
    elif args or kwargs:
        spend(weight((args, kwargs)))


def _bounded_filter(function: Callable[..., Any], bound: Callable[..., int] | None) -> Callable[..., Any]:
    skipped = 1 if hasattr(function, "jinja_pass_arg") else 0  # environment or context, which Jinja puts in front

    @wraps(function)
    def bounded(*args: Any, **kwargs: Any) -> Any:
        if bound is not None:
            if type(args[skipped]) not in _READY and isinstance(args[skipped], Iterator):
                args = (*args[:skipped], list(_steps(args[skipped])), *args[skipped + 1 :])
            check_size(bound(*args[skipped:], **kwargs))
        made = function(*args, **kwargs)
        spend(STEP)
        _spend_on(made)
        return made

    return bounded


__all__ = ["LONGEST_SOURCE", "BoundError", "BoundedEnvironment"]
