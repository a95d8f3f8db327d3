"""Chat templates write what transformers would write, and none can keep or fill the machine."""

import os
import select
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hubtune.templating import chat
from hubtune.templating.chat import ChatRequest, ChatTemplate, Rendered, TemplateFaultError, TextOverlap, Variant
from hubtune.templating.process import BoundedProcess, LimitError
from tests.tiny_tokenizers import CHATML, KINDS, LLAMA_TEMPLATE, WITH_GENERATION

TURNS = [{"role": "user", "content": "Oil — é 😀?\n\n two  spaces"}, {"role": "assistant", "content": " A virtue.\n"}]
CALL = {
    "type": "function",
    "function": {"name": "oil", "arguments": {"drops": 1, "unit": "ö", "ratio": 1.5, "dry": False}},
}
CALLED = [
    {"role": "system", "content": "Be dry."},
    {"role": "user", "content": "Oil it.", "name": None},
    {"role": "assistant", "content": None, "tool_calls": [CALL], "reasoning": "It squeaks."},
    {"role": "tool", "content": "done"},
    {"role": "assistant", "content": "Oiled.", "thinking": "So it is."},
]
TOOLS = [{"type": "function", "function": {"name": "oil", "parameters": {"type": "object", "required": ["drops"]}}}]
EVERYTHING = """{%- set ns = namespace(first=true, count=0) -%}
{{- bos_token }}{% if tools is not none %}
{{ tools | tojson(indent=2) }}{{ tools | tojson(sort_keys=true, separators=(',', ':')) }}
{% endif %}
{% macro part(m) %}{{ m.role | upper }}: {{ m['content'] | trim if m.content else '' }}{% endmacro %}
{% for m in messages %}
    {% if m.role == 'system' %}{% continue %}{% endif %}
    {{ part(m) }} {{ m.reasoning_content or '' }}/{{ m.thinking or '' }}/{{ m.reasoning or '' }}
    {% if 'tool_calls' in m %}{{ m.tool_calls[0].function.arguments | tojson }}{{ m.tool_calls }}{% endif %}
    {% set ns.count = ns.count + 1 %}
    {{- dict(a=ns.count).items() | list }}{{ dict.fromkeys('ab', 1) }} {{ m.content is defined }} {{ documents }}
    {% if loop.index0 > 40 %}{% break %}{% endif %}
{% endfor %}
{{ ns.count }} {{ strftime_now('%Y') }} {{ '%s' | format('x') }} {{ eos_token }}
{% if add_generation_prompt %}ask{% endif %}
"""


@pytest.fixture
def strict(monkeypatch: pytest.MonkeyPatch) -> None:
    """Less time and less output for each conversation, so that the tests of limits are quick."""
    monkeypatch.setattr(chat, "LIMITS", replace(chat.LIMITS, seconds=0.3, output=100_000))


@pytest.mark.parametrize("ask", [False, True])
@pytest.mark.parametrize("kind", ["llama", "qwen"])
@pytest.mark.parametrize(
    "template",
    [CHATML, LLAMA_TEMPLATE, WITH_GENERATION, EVERYTHING],
    ids=["chatml", "llama", "generation", "everything"],
)
def test_the_text_is_the_one_that_transformers_gives(kind: str, template: str, ask: bool):
    tokenizer = KINDS[kind]()
    ours = ChatTemplate.of(tokenizer, template)
    assert ours is not None

    for messages, tools in ((TURNS, None), (TURNS * 3, TOOLS), (CALLED, TOOLS), (CALLED, None)):
        (found,) = ours.render_all([ChatRequest(messages, tools, ask=ask)])
        if template is LLAMA_TEMPLATE and messages is CALLED:
            assert str(found) == "no role tool"
            continue
        assert isinstance(found, Rendered)
        assert found.text == tokenizer.apply_chat_template(
            messages, tools=tools, chat_template=template, tokenize=False, add_generation_prompt=ask
        )


def test_the_spans_are_those_that_transformers_gives():
    from transformers.utils.chat_template_utils import render_jinja_template

    tokenizer = KINDS["qwen"]()
    nested = (
        "{% macro shown(m) %}{% generation %}{{ m.content }}{% endgeneration %}{% endmacro %}"
        "{% for m in messages %}{{ m.role }}:{% if m.role == 'assistant' %}{{ shown(m) }}|{% generation %}"
        "{{ m.content }}{{ eos_token }}{% endgeneration %}{% else %}{{ m.content }}{% endif %}\n{% endfor %}"
    )
    for template in (WITH_GENERATION, nested):
        ours = ChatTemplate.of(tokenizer, template)
        assert ours is not None
        (found,) = ours.render_all([ChatRequest(TURNS * 2, spans=True)])
        texts, spans = render_jinja_template(
            conversations=[TURNS * 2],
            chat_template=template,
            return_assistant_tokens_mask=True,
            **tokenizer.special_tokens_map,
        )
        assert isinstance(found, Rendered)
        assert (found.text, list(found.spans)) == (texts[0], spans[0])


def test_of_several_templates_the_default_one_counts_and_one_that_is_given_before_it():
    tokenizer = KINDS["qwen"]()
    tokenizer.chat_template = {"default": "d", "tool_use": "t"}

    assert [ChatTemplate.of(tokenizer, given).text for given in (None, "g")] == ["d", "g"]
    assert [ChatTemplate.of(tokenizer, given).beside_tool_use for given in (None, "g")] == [True, False]
    tokenizer.chat_template = {"tool_use": "t"}
    assert ChatTemplate.of(tokenizer) is None


def test_variants_are_told_by_what_they_share_with_the_text():
    template = ChatTemplate(
        "{{ tools and 'T' }}{% for m in messages %}[{{ m.content }}]{% endfor %}{{ add_generation_prompt and '>' }}", {}
    )
    wanted = [
        Variant(upto=1, ask=True),
        Variant(changes={1: {"role": "assistant", "content": "B_B"}}),
        Variant(changes={0: {"role": "user", "content": "x"}}, whole=True),
        Variant(tools=False, whole=True),
        Variant(changes={0: {"role": "user"}}),
    ]
    messages = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "BaB"}]

    (found,) = template.render_all([ChatRequest(messages, [{}], variants=wanted)])

    assert isinstance(found, Rendered)
    assert found.text == "T[a][BaB]False"
    assert found.overlaps[:2] == [TextOverlap(5, 4, 0), TextOverlap(14, 6, 7)]
    assert found.texts[2:4] == ["T[x][BaB]False", "None[a][BaB]False"]
    assert found.overlaps[4] == TextOverlap(13, 2, 11)


FAULTS = {
    "{% for m in messages %}": "line 1: Unexpected end of template",
    "\n\n{{ messages | nothing }}": "line 3: No filter named",
    "{{ raise_exception('no\\nmore') }}": "^no$",
    "{{ messages[7].content }}": "no element 7",
    "{{ 1/0 }}": "ZeroDivisionError",
    "{{ {}['a']['b'] }}": "no attribute 'a'",
    "{{ 'a' + 1 }}": "TypeError",
    "{{ range(10**9) | list }}": "OverflowError: Range too big",
    "{{ messages.__class__.__mro__ }}": "unsafe",
    "{{ cycler.__init__.__globals__.os }}": "unsafe",
    "{{ ''.__class__.__base__ }}": "unsafe|undefined",
    "{{ messages.append(1) }}": "unsafe",
    "{{ namespace(__x=1) }}": "underscore",
    "{% include '/etc/passwd' %}": "no loader",
    "{% macro m(n) %}{{ m(n + 1) }}{% endmacro %}{{ m(0) }}": "for ever",
    "{{ " + "(" * 3000 + "1" + ")" * 3000 + " }}": "too deeply",
    "{{ '\\ud800' }}": "an unpaired surrogate",
    "{{ strftime_now('\\ud800') }}": "surrogate",
    "{{ dict(1) }}": "TypeError",
}


@pytest.mark.parametrize("template", list(FAULTS))
def test_what_a_template_raises_is_told_in_one_line(template: str):
    with pytest.raises(TemplateFaultError, match=FAULTS[template]) as caught:
        ChatTemplate(template, {}).render(TURNS)

    assert "\n" not in str(caught.value)


_THREE_LOOPS = "".join(f"{{% for {name} in range(99999) %}}" for name in "abc") + "{% endfor %}" * 3
BOMBS = {
    _THREE_LOOPS: "0.3 s of processor time",
    "{% for a in range(99999) %}{% for b in range(99999) %}x{% endfor %}{% endfor %}": "97 KiB of text",
    "{% set n = namespace(x=9) %}{% for a in range(9) %}{% set n.x = n.x ** 9 %}{% endfor %}": "of processor time",
    # What Jinja works out as it compiles.
    "{{ 9**(9**9) }}": "0.3 s of processor time",
    "{% if false %}{{ 9**(9**9) }}{% endif %}": "0.3 s of processor time",
    "{{ ('a' * 10**6) * 10**6 }}": "512 MiB of memory",
    "{{ 'x' * 3000000000 }}": "512 MiB of memory",
    "{{ messages[0].content * 300000000 }}": "512 MiB of memory",
    "{{ 'x' | center(10**9) }}": "512 MiB of memory",
    # On a slow machine its time is up first.
    "{% set n = namespace(x='a') %}{% for i in range(40) %}{% set n.x = n.x ~ n.x %}{% endfor %}": "takes more than",
    "{{ [0] * 10**9 }}": "512 MiB of memory",
    "{{ 'x' * 200000 }}": "97 KiB of text",
}


@pytest.mark.parametrize("template", list(BOMBS))
def test_what_exceeds_a_limit_is_ended_and_the_limit_named(strict, template: str):
    with pytest.raises(LimitError) as caught:
        ChatTemplate(template, {}).render(TURNS)

    assert BOMBS[template] in caught.value.words
    # Another process has taken its place.
    assert ChatTemplate("{{ messages[0].role }}", {}).render(TURNS) == "user"


def test_the_conversation_that_exceeds_a_limit_is_named_by_its_place(strict):
    template = ChatTemplate(
        "{% for a in range(messages[0].content | int) %}{% for b in range(99999) %}{% endfor %}{% endfor %}", {}
    )
    talks = [ChatRequest([{"role": "user", "content": text}]) for text in ("0", "1", "0", "99999", "0")]

    with pytest.raises(LimitError) as caught:
        template.render_all(talks)

    assert (caught.value.place, caught.value.kind) == (3, "time")


def test_a_process_that_inherits_a_blocked_or_ignored_signal_has_its_limit_of_time(strict):
    """Each ends by that of processor time, not by six times as long on the clock."""
    program = (
        "import signal, sys\nfrom dataclasses import replace\nfrom hubtune.templating import chat, process\n"
        "signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGPROF])\nsignal.signal(signal.SIGPROF, signal.SIG_IGN)\n"
        "process.ProcessLimits.patience = property(lambda self: 600)\n"
        "chat.LIMITS = replace(chat.LIMITS, seconds=0.3)\n"
        "try:\n    chat.ChatTemplate('{{ 9**(9**9) }}', {}).render([{'role': 'user'}])\n"
        "except process.LimitError as error:\n    print(error.words)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)

    assert done.stdout == "takes more than 0.3 s of processor time\n", done.stderr


def test_a_template_that_is_slow_for_most_conversations_is_ended_and_one_that_is_for_few_is_not(monkeypatch):
    monkeypatch.setattr(chat, "LIMITS", replace(chat.LIMITS, pace=0.002))
    template = ChatTemplate(
        "{% for a in range(messages[0].content | int) %}{% for b in range(99999) %}{% endfor %}{% endfor %}", {}
    )

    def talks(turns: str, variants: int = 0) -> list[ChatRequest]:
        return [ChatRequest([{"role": "user", "content": turn}], variants=[Variant()] * variants) for turn in turns]

    template.render_all(talks("99900000000" * 3))
    with pytest.raises(LimitError) as caught:
        ChatTemplate(template.text + " ", {}).render_all(talks("09999999999999", variants=1))

    assert (caught.value.kind, caught.value.place) == ("pace", 9)
    assert "0.002 s of processor time again and again" in caught.value.words
    assert template.render([{"role": "user", "content": "0"}]) == ""


def test_far_more_than_a_pipe_holds_goes_both_ways():
    template = ChatTemplate("{{ messages[0].content }}", {})
    texts = [f"{number} " + "ö" * 200_000 for number in range(20)]

    found = template.render_all([ChatRequest([{"role": "user", "content": text}]) for text in texts])

    assert [each.text for each in found if isinstance(each, Rendered)] == texts


def test_what_a_template_keeps_is_gone_with_the_next_conversation():
    template = ChatTemplate("{% set x = x + 1 if x is defined else 1 %}{{ x }}{{ bos_token }}", {"bos_token": "<s>"})

    assert [template.render(TURNS) for _ in range(3)] == ["1<s>"] * 3


def test_the_process_has_no_environment_and_can_write_no_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setenv("HF_TOKEN", "hf_secretsecret")
    with BoundedProcess("tests.templating.curious:handle", chat.LIMITS) as process:
        environment, written, modules = process.ask([b"environment", bytes(tmp_path / "file"), b"modules"])
        process.close()

    assert environment == b"TZ" * ("TZ" in os.environ)
    assert written == b"File too large"
    assert not (tmp_path / "file").read_bytes()
    assert modules == b""


def test_the_process_ends_with_the_one_that_started_it():
    """Also where it is killed, and also in the middle of a conversation."""
    program = (
        "import os, sys\nfrom dataclasses import replace\nfrom hubtune.templating import chat\n"
        "chat.LIMITS = replace(chat.LIMITS, seconds=1)\n"
        "process = chat._process()\nprocess.ready()\nprint(process._process.pid, flush=True)\n"
        "chat.ChatTemplate(sys.argv[1], {}).render([{'role': 'user'}])\n"
    )
    bomb = "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}"
    for template in (bomb, "{{ raise_exception('done') }}"):
        started = subprocess.Popen(
            [sys.executable, "-c", program, template], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        with started:
            assert started.stdout is not None
            child = int(started.stdout.readline())
            if template == bomb:
                started.kill()
            started.wait()
        _wait_for_end(child)


def _wait_for_end(pid: int) -> None:
    waited = os.pidfd_open(pid) if _runs(pid) else None
    if waited is not None:
        assert select.select([waited], [], [], 30)[0], "it still runs"
        os.close(waited)


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_an_answer_after_an_interrupt_is_not_the_one_before(strict):
    """What was asked before is not taken for an answer to what is asked after it."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, interrupt)
    signal.setitimer(signal.ITIMER_REAL, 0.05)
    try:
        with pytest.raises((KeyboardInterrupt, LimitError)):
            ChatTemplate("{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}", {}).render(
                TURNS
            )
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)

    assert ChatTemplate("after", {}).render(TURNS) == "after"


def test_a_copy_of_the_process_by_fork_has_its_own(strict):
    template = ChatTemplate("{{ messages[0].content }}", {})
    template.render(TURNS)
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.write(writing, template.render([{"role": "user", "content": "fork"}]).encode())
        finally:
            os._exit(0)
    os.waitpid(pid, 0)

    assert (os.read(reading, 99), template.render(TURNS)) == (b"fork", TURNS[0]["content"])
    os.close(reading)
    os.close(writing)


_PIECES = st.sampled_from(
    [
        *(
            "{{ ",
            " }}",
            "{% ",
            " %}",
            "{%- ",
            "{# ",
            "for x in ",
            "messages",
            "range(",
            "99999",
            "endfor",
            "if ",
            "endif",
        ),
        *("set x = ", "x", " ~ x", " * 10**9", "(", ")", "[", "]", "'a'", "'\\ud800'", ".content", ".__class__", "[0]"),
        *("macro m()", "endmacro", "m()", "raise_exception(", " | tojson", " | list", " | join", " | center(10**9)"),
        *(
            "generation",
            "endgeneration",
            "namespace(a=1)",
            "break",
            "/ 0",
            " ** 99",
            "\x00",
            "😀",
            "text",
            "\n",
            "loop",
            "{}",
        ),
    ]
)


def test_no_template_whatsoever_does_more_than_be_refused(strict, trials):
    """A text, a fault in words or a limit by name; and the next template is not touched by it."""

    @settings(max_examples=trials(40, 2000))
    @given(
        st.one_of(st.lists(_PIECES, max_size=25).map("".join), st.text(max_size=60)),
        st.recursive(
            st.text(max_size=9) | st.integers() | st.floats() | st.none() | st.booleans(),
            lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
            max_leaves=6,
        ),
    )
    def check(text: str, content: object) -> None:
        messages = [{"role": "user", "content": content}, {"role": "assistant", "content": "y", "tool_calls": content}]
        try:
            found = ChatTemplate(text, {}).render(messages)
        except TemplateFaultError as fault:
            found = str(fault)
            told = len(found.splitlines()) == 1
        except LimitError as error:
            told = bool(error.words)
        else:
            told = True
            found.encode()
        assert told
        assert ChatTemplate("{{ 1 + 1 }}", {}).render(messages) == "2"

    check()
