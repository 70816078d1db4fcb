"""Templates that try to reach out, to never end, or to fill the memory: refused by name, wherever they are rendered."""

from __future__ import annotations

import subprocess
import sys
import threading
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import pytest
import yaml

from sciriff import api
from sciriff.errors import RecordError, SciriffError, TaskFileError, UsageError
from sciriff.models.chat import chat_format
from sciriff.models.checkpoint import Checkpoint
from sciriff.sandbox import budget
from sciriff.settings import Settings
from sciriff.tasks.rendering import compile_template

_GROW = "{%% set ns = namespace(s=%s) %%}{%% for i in range(60) %%}%s{%% endfor %%}{{ ns.s }}"

LARGE = {
    "range": "{% for i in range(10**9) %}x{% endfor %}",
    "endless range": "{% for i in range(10**30) %}x{% endfor %}",
    "repeated text": "{{ 'a' * 10**9 }}",
    "repeated twice": "{{ ('a' * 8000000) * 8000000 }}",
    "repeated list": "{{ [0] * 10**9 }}",
    "power": "{{ (10 ** 10000) ** 10000 }}",
    "percent width": "{{ '%1000000000d' % 1 }}",
    "percent width from a value": "{{ '%*d' % (10**9, 1) }}",
    "percent digits": "{{ '%.1000000000f' % 1.5 }}",
    "percent of many": "{{ ('%s' * 9000 % (('x' * 9000,) * 9000)) }}",
    "format filter": "{{ '%1000000000d' | format(1) }}",
    "brace width": "{{ '{:1000000000}'.format(1) }}",
    "brace width from a value": "{{ '{:{}}'.format(1, 10**9) }}",
    "brace map": "{{ '{a:1000000000}'.format_map({'a': 1}) }}",
    "center": "{{ 'a' | center(10**9) }}",
    "center of a text": "{{ 'a'.center(10**9) }}",
    "ljust": "{{ 'a'.ljust(10**9) }}",
    "zfill": "{{ 'a'.zfill(10**9) }}",
    "tabs": "{{ ('\\t' * 1000).expandtabs(10**7) }}",
    "join": "{{ range(100000) | join('a' * 1000000) }}",
    "join of a generator": "{{ range(99999) | map('string') | join('a' * 1000000) }}",
    "join of a text": "{{ ('b' * 100000) | join('a' * 100000) }}",
    "join of texts": "{{ ('a' * 1000000).join(['b'] * 100000) }}",
    "replace": "{{ ('a' * 100000) | replace('a', 'b' * 100000) }}",
    "replace nothing": "{{ ('a' * 100000).replace('', 'b' * 100000) }}",
    "translate": "{{ ('a' * 100000).translate({97: 'b' * 100000}) }}",
    "indent": "{{ 'a' | indent(10**9, true) }}",
    "indent lines": "{{ ('\\n' * 100000) | indent(100000, true, true) }}",
    "wordwrap": "{{ ('a ' * 100000) | wordwrap(1, true, 'b' * 10000) }}",
    "batch": "{{ [1] | batch(10**9, 'x') | list }}",
    "slice": "{{ [1] | slice(10**9) | list }}",
    "round": "{{ 1.5 | round(10**9, 'ceil') }}",
    "json indent": "{{ [[1]] | tojson(indent=10**9) }}",
    "sum of lists": "{{ ([[1] * 1000] * 1000) | sum(start=[]) }}",
    "escapes": "{{ ('<' * 8000000) | e | e | e }}",
    "comments": "{{ ('<!---->' * 100000) | striptags }}",
    "growing by +": _GROW % ("'lol'", "{% set ns.s = ns.s + ns.s %}"),
    "growing by ~": _GROW % ("'lol'", "{% set ns.s = ns.s ~ ns.s %}"),
    "growing by blocks": _GROW % ("'lol'", "{% set x %}{{ ns.s }}{{ ns.s }}{% endset %}{% set ns.s = x %}"),
    "laughing lists": _GROW % ("'lol'", "{% set ns.s = [ns.s, ns.s] %}"),
    "laughing tuples": _GROW % ("'lol'", "{% set ns.s = (ns.s, ns.s) %}"),
    "laughing mappings": _GROW % ("'lol'", "{% set ns.s = {'a': ns.s, 'b': ns.s} %}"),
    "laughing calls": _GROW % ("'lol'", "{% set ns.s = dict(a=ns.s, b=ns.s) %}"),
    "laughing batches": _GROW % ("'lol'", "{% set ns.s = [ns.s] | batch(2, ns.s) | first %}"),
    "laughing zips": _GROW % ("['lol']", "{% set ns.s = [zip(ns.s, ns.s) | list] * 2 %}"),
    "laughing macros": "{% macro m() %}{{ caller(varargs) }}{% endmacro %}"
    + _GROW % ("'lol'", "{% call(v) m(ns.s, ns.s) %}{% set ns.s = v %}{% endcall %}"),
    "a namespace in itself": "{% set n = namespace() %}{% set n.a = n %}{{ n }}",
    "a filter around a block": "{% filter center(10**9) %}a{% endfilter %}",
    "a filter of filters": "{{ ['a'] | map('center', 10**9) | list }}",
    "a method by a filter": "{{ ('{:1000000000}' | attr('format'))(1) }}",
    "a method by an attribute": "{{ (['{:1000000000}'] | map(attribute='format') | first)(1) }}",
    "a method by a key": "{{ '{:1000000000}'['format'](1) }}",
    "a method kept for later": "{% set f = 'a'.center %}{{ f(10**9) }}",
    "a block that is called": "{% macro m() %}{{ caller() }}{{ caller() }}{% endmacro %}"
    "{% call m() %}{{ 'a' * 5000000 }}{% endcall %}",
    "many texts": "{% set a = 'a' * 8000000 %}" + "".join(f"{{% set a{n} = a ~ {n} %}}" for n in range(99)),
}

ENDLESS = {
    "loops in loops": "{% for i in range(99999) %}" * 3 + "{% endfor %}" * 3,
    "a macro that calls itself": "{% macro m(n) %}{{ m(n - 1) }}{% endmacro %}{{ m(1) }}",
    "a macro that calls itself twice": "{% macro m(n) %}{% if n %}{{ m(n - 1) }}{{ m(n - 1) }}{% endif %}{% endmacro %}"
    "{{ m(60) }}",
    "a loop in itself": "{% for x in [1, 2] recursive %}{{ loop([1, 2]) }}{% endfor %}",
    "a loop in itself, twice": "{% for x in [1, 2] recursive %}"
    "{% if loop.depth < 60 %}{{ loop([1, 2]) }}{% endif %}{% endfor %}",
    "a block in itself": "{% block a %}{{ self.a() }}{% endblock %}",
    "filters in filters": "{% for i in range(99999) %}{{ range(99999) | map('string') | list | length }}{% endfor %}",
}

REACHING_OUT = [
    "{{ ''.__class__.__mro__[1].__subclasses__() }}",
    "{{ x | attr('__class__') }}",
    "{{ x | attr('__cla' ~ 'ss__') }}",
    "{{ x['__class__'] }}",
    "{{ x['__cla' 'ss__'] }}",
    "{{ [x] | sort(attribute='__class__.__name__') }}",
    "{{ '{0.__class__.__mro__}'.format(x) }}",
    "{{ '{a.__class__}'.format_map({'a': x}) }}",
    "{{ '{0.__init__.__globals__}'.format(cycler) }}",
    "{{ cycler.__init__.__globals__.os }}",
    "{{ joiner.__init__.__globals__ }}",
    "{{ namespace.__init__.__globals__ }}",
    "{{ lipsum.__globals__ }}",
    "{{ nothing.__init__.__globals__ }}",
    "{{ self.__init__ }}",
    "{{ self._TemplateReference__context }}",
    "{{ zip.__self__ }}",
    "{{ x.append(1) }}",
    "{{ d.update(a=1) }}",
    "{{ (1).to_bytes(10**9, 'big') }}",
    "{{ 'a'.encode('idna') }}",
    "{% include '/etc/passwd' %}",
    "{% import '/etc/passwd' as x %}",
    "{% extends '/etc/passwd' %}",
]

TOO_MUCH_TO_COMPILE = {
    "brackets": "{{ " + "(" * 20_000 + "1" + ")" * 20_000 + " }}",
    "sums": "{{ " + "1 + " * 20_000 + "1 }}",
    "conditions": "{% if x %}" * 5_000 + "{% endif %}" * 5_000,
    "loops": "{% for i in x %}" * 50 + "{% endfor %}" * 50,
    "length": "a" * 2_000_000,
    "digits": "{{ " + "9" * 5_000 + " }}",
}

WHERE = "some_task.yaml, template 3"


def attack(source: str) -> None:
    """Compile and render; what a template may see is data of all kinds."""
    variables = {"_id": "7", "x": [1], "d": {"k": "v"}, "text": "words"}
    compile_template(f"in ||| {source}", None, WHERE).render(variables)


@pytest.mark.parametrize("source", LARGE.values(), ids=LARGE)
def test_what_would_fill_the_memory_is_refused(source: str) -> None:
    with pytest.raises(TaskFileError, match=rf"^{WHERE}.*(allowed|may do)"):
        attack(source)


@pytest.mark.parametrize("source", ENDLESS.values(), ids=ENDLESS)
def test_what_would_never_end_is_refused(source: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(budget, "MOST_WORK", 1 << 23)
    with pytest.raises(TaskFileError, match=rf"^{WHERE}.*more than a template may do"):
        attack(source)


def test_what_one_step_hides_is_refused_by_its_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(budget, "MOST_SECONDS", 0.05)
    slow = "{% set a = 'a' * 8000000 %}{% for i in range(90000) %}{{ 1 if 'b' in a else 0 }}{% endfor %}"
    with pytest.raises(TaskFileError, match=f"^{WHERE}.*seconds"):
        attack(slow)


@pytest.mark.parametrize("source", REACHING_OUT)
def test_what_reaches_out_is_refused(source: str) -> None:
    with pytest.raises((TaskFileError, RecordError), match=WHERE):
        attack(source)


@pytest.mark.parametrize("source", TOO_MUCH_TO_COMPILE.values(), ids=TOO_MUCH_TO_COMPILE)
def test_what_is_too_much_for_the_compiler_is_refused(source: str) -> None:
    with pytest.raises(TaskFileError, match=WHERE):
        attack(source)


@pytest.mark.slow
def test_all_of_it_stays_within_two_gigabytes() -> None:
    """In a process of its own, which the system would end."""
    program = (
        "import resource; resource.setrlimit(resource.RLIMIT_AS, (2 << 30, 2 << 30))\n"
        "from tests.security.test_template_bounds import *\n"
        "for source in LARGE.values():\n"
        "    try: attack(source)\n"
        "    except TaskFileError: continue\n"
        "    raise SystemExit('rendered: ' + source)\n"
    )
    subprocess.run([sys.executable, "-c", program], cwd=Path(__file__).parents[2], check=True, timeout=300)


def test_a_record_that_is_too_large_is_the_records_fault() -> None:
    template = compile_template("{{ text ~ text }} ||| x", None, WHERE)
    with pytest.raises(RecordError, match=r"record 9.*too large"):
        template.render({"_id": "9", "text": "a" * 5_000_000})
    assert template.render({"_id": "10", "text": "a"}) == ("aa", "x")


def test_threads_do_not_pay_for_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    """One thread renders what is refused, over and over, beside others whose work is their own."""
    monkeypatch.setattr(budget, "MOST_WORK", 1 << 22)
    endless = compile_template("in ||| " + ENDLESS["loops in loops"], None, WHERE)
    honest = compile_template("{% for i in range(20000) %}{{ i }} {% endfor %} ||| x", None, WHERE)
    gate = threading.Barrier(4)

    def refuse() -> int:
        gate.wait()
        refused = 0
        for _ in range(5):
            try:
                endless.render({})
            except TaskFileError:
                refused += 1
        return refused

    def render() -> int:
        gate.wait()
        return sum(len(honest.render({}).input) for _ in range(5))

    with ThreadPoolExecutor(4) as threads:
        refused = [threads.submit(refuse) for _ in range(2)]
        rendered = [threads.submit(render) for _ in range(2)]
    assert [future.result() for future in refused] == [5, 5]
    assert len({future.result() for future in rendered}) == 1


def test_bounds_hold_in_worker_processes() -> None:
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as workers:
        error = workers.submit(attack, LARGE["repeated text"]).exception(timeout=120)
    assert isinstance(error, TaskFileError)
    assert WHERE in str(error)


def test_a_build_names_the_template_and_goes_on_with_other_tasks(tmp_path: Path) -> None:
    folder = tmp_path / "templates"
    folder.mkdir()
    for task in ("scierc_ner", "cdr_ner"):
        content = yaml.safe_load(Path("templates/tasks", f"{task}.yaml").read_text(encoding="utf-8"))
        if task == "cdr_ner":
            content["templates"][0]["jinja"] += "{% for i in range(9999) %}" * 2 + "{% endfor %}" * 2
        (folder / f"{task}.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
    report = api.build(
        ["scierc_ner", "cdr_ner"],
        windows=[4096],
        n_instances=5,
        workers=1,
        combining=False,
        settings=Settings(
            store=str(tmp_path / "store"), cache=tmp_path / "cache", lock=tmp_path / "lock", offline=True,
            samples="always", templates_dir=folder,
        ),
    )  # fmt: skip
    outcomes = {outcome.task: outcome for outcome in report.outcomes}
    assert outcomes["scierc_ner"].done
    assert not outcomes["cdr_ner"].done
    assert "cdr_ner.yaml, template 0" in outcomes["cdr_ner"].message
    assert "more than a template may do" in outcomes["cdr_ner"].message


@pytest.mark.parametrize(
    "source",
    [LARGE["repeated text"], LARGE["laughing lists"], REACHING_OUT[0], ENDLESS["a macro that calls itself"]],
)
def test_the_template_of_a_checkpoint_is_trusted_as_little(source: str, tmp_path: Path) -> None:
    checkpoint = Checkpoint(
        name="owner/untrusted", chat_template="{{ messages[0].content }}" + source.replace("x", "messages"),
        special_tokens={}, commit=None, context_tokens=None, tokenizer_path=None,
    )  # fmt: skip
    with pytest.raises(UsageError, match="owner/untrusted"):
        chat_format("auto", checkpoint)
    path = tmp_path / "mine.jinja"
    path.write_text("{{ input }}" + source.replace("x", "input"), encoding="utf-8")
    with pytest.raises(UsageError, match="mine"):
        chat_format(str(path))


def test_the_template_of_a_checkpoint_sees_nothing_where_it_reaches_out() -> None:
    source = "{{ messages[0].content }}{{ messages | attr('__class__') }}{{ messages['__class__'] }}"
    checkpoint = Checkpoint("owner/untrusted", None, None, source, {}, None)
    assert chat_format("auto", checkpoint).wrap("text") == "text"


def test_the_judges_templates_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from sciriff.scoring import judge_prompts

    (tmp_path / "judge").mkdir()
    (tmp_path / "judge" / "bad.jinja").write_text(LARGE["repeated text"], encoding="utf-8")
    monkeypatch.setattr(judge_prompts, "resource_dir", lambda name: tmp_path)
    with pytest.raises(SciriffError, match=r"templates/judge/bad\.jinja.*characters"):
        judge_prompts.opening("bad", {})


def test_a_reply_is_never_read_as_a_template() -> None:
    from sciriff.models.requests import Message
    from sciriff.scoring.judge_prompts import second_prompt

    asked = second_prompt("{{ 7 * 7 }}", "{% for i in range(9) %}", "{{ marker }}")
    assert [message.content for message in asked if isinstance(message, Message)][:2] == [
        "{{ 7 * 7 }}",
        "{% for i in range(9) %}",
    ]


def test_honest_templates_do_what_they_did() -> None:
    source = (
        "{% macro item(n, word) %}{{ n }}. {{ word | capitalize }}{% endmacro %}"
        "{% set ns = namespace(total=0) %}"
        "{% for word in words if word != 'skip' %}{% set ns.total = ns.total + word | length %}"
        "{{ item(loop.index, word) }}{{ ' of ' ~ loop.length if loop.last else ', ' }}{% endfor %} {{ ns.total }}"
        "{{ '%5.1f|%s' % (2.5, words | first) }}{{ '{:>4}{a!r}'.format(7, a='x') }}"
        "{% for k, v in {'b': [1, 2], 'a': words[:1]} | dictsort %}{{ k }}{{ v }}{% endfor %}"
        "{% for x in [[1, [2]], [3]] recursive %}{{ loop(x) if x is iterable else x }};{% endfor %}"
        "{% for a, b in zip(words, range(300)) %}{{ a[0] }}{{ b }}{% endfor %}"
        "{% for n in range(600) %}{{ 'end ' ~ loop.length if loop.last }}{% endfor %}"
        "{{ [1, 2, 3] | batch(2, 0) | list }}{{ words | map('upper') | join('+') }}"
        "{{ 'a-b'.replace('-', '+').split('+') }}"
    )
    rendered = compile_template(f"{source} ||| x", None, WHERE).render({"words": ["one", "skip", "two"]})
    assert rendered.input == (
        "1. One, 2. Two of 2 6  2.5|one   7'x'a['one']b[1, 2]1;2;;;3;;o0s1t2end 600"
        "[[1, 2], [3, 0]]ONE+SKIP+TWO['a', 'b']"
    )
