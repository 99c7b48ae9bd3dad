"""Texts and text files from elsewhere: each that cannot be used gets one clear error at once, whatever it holds."""

import os
import re
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asapnb.config import keys, load_config, parse_value
from asapnb.errors import AsapnbError, UsageError
from asapnb.problems.text import parse_problem
from asapnb.rules import parse_rule
from asapnb.schemes import parse_scheme
from asapnb.staleness import parse_staleness
from asapnb.sweep import load_sweep, parse_sweep
from asapnb.text import LARGEST_FILE, LONGEST_CALL, parse_call, parse_toml, read_bytes
from asapnb.timing import load_timing, parse_timing

PARSERS = {
    "rule": (parse_rule, "tail", "amplitude"),
    "scheme": (parse_scheme, "leashed", "persistence"),
    "problem": (lambda text: parse_problem(text, "no data set"), "quadratic", "noise"),
    "time": (parse_timing, "exponential", "mean"),
    "staleness": (parse_staleness, "geometric", "m"),
}
LOADERS = (load_config, load_sweep, load_timing)
LONG = "9" * 5000
# `name` and `key` stand for a name that the parser knows and for one of its parameters
CALLS = {
    "nested brackets": "name(" + "[" * 10**5 + "]" * 10**5 + ")",
    "open brackets": "(" * 10**5,
    "nested calls": "name(" * 300 + ")" * 300,
    "signs": "name(" + "-" * 500 + "1)",
    "many signs": "name(" + "-" * 10**5 + "1)",
    "a long sum": "name(1" + "+1" * 5000 + ")",
    "attributes": "name" + ".x" * 5000,
    "a long integer": f"name({LONG})",
    "a long integer in hex": "name(0x" + "f" * 10**5 + ")",
    "an integer no float holds": "name(1" + "0" * 309 + ")",
    "10**309": "name(10**309)",
    "a keyword twice": "name(key=1, key=2)",
    "a star": "name(*[1])",
    "two stars": "name(**{'key': 1})",
    "two stars of nothing": "name(**{})",
    "infinity": "name(key=1e400)",
    "an imaginary number": "name(key=1j)",
    "a sum that no float holds": "name(1" + "0" * 400 + "+1j)",
    "a call of an integer": "0x" + "f" * 10**5 + "(1)",
    "bytes": "name(key=b'1')",
    "an ellipsis": "name(key=...)",
    "a table": "name(key={1: 2})",
    "a set of lists": "name(key={[]})",
    "a comparison": "name('a' is 'a')",
    "a lambda": "name(key=lambda: 1)",
    "a walrus": "name(key := 1)",
    "a NUL": "name(\0)",
    "half a character": "name('\ud800')",
    "an escape": "name('\\z')",
    "long": "name(" + "1," * LONGEST_CALL + ")",
}


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("kind", PARSERS)
def test_a_call_that_cannot_be_used_is_refused(kind, call):
    parse, name, key = PARSERS[kind]
    with pytest.raises(UsageError) as caught:
        parse(CALLS[call].replace("name", name).replace("key", key))
    assert len(str(caught.value)) < 700


def test_what_raises_within_a_call_is_named():
    with pytest.raises(UsageError, match=r"mean\(of=None\) raised TypeError: .* not iterable"):
        parse_call("mean(of=None)", {"mean": lambda of: sum(of)}, "number")


SIGNS = "()[]{},=.:*-+~'\"\\#😀 \n\0"
NAMES = """tail leashed quadratic exponential geometric mixture groups every amplitude mean None True nan 1 0 1e309 -1
    0.5 10**9 0xff ** not if lambda"""
WORDS = st.sampled_from([*SIGNS, *NAMES.split()])


def refusal(call, *arguments):
    """What the error says, if there is one."""
    try:
        call(*arguments)
    except AsapnbError as error:
        return str(error)
    return ""


@settings(max_examples=150, deadline=None, derandomize=True)
@given(st.lists(WORDS, max_size=12).map("".join) | st.text(max_size=30))
def test_any_text_is_read_or_refused(text):
    for parse, name, _ in PARSERS.values():
        for tried in (text, f"{name}({text})"):
            if not re.search(r"[2-9]\d{5}|\d{7}|\.py", tried):  # a large problem, or a file
                assert len(refusal(parse, tried)) < 1000
    parse_value(text)


TABLES = {
    "brackets": "x = " + "[" * 10**5,
    "tables in tables": "x = " + "{a=" * 10**5,
    "a name of many parts": "a" + ".a" * 10**5 + " = 1",  # would take 40 GB
    "a quoted name of many parts": '"\\""' + '."\\""' * 10**5 + " = 1",
    "a header of many parts": "[" + "a." * 10**5 + "a]",
    "deep": "x = " + "[" * 60 + "]" * 60,
    "a number of workers of thousands of digits": f"[workers.{LONG}]\ncompute = 1",
    "a long integer": f"seed = {LONG}",
    "a long integer in hex": "seed = 0x" + "f" * 10**5,
    "10^309": "step_size = 1" + "0" * 309,
    "binary": "\0\1\2",
    "cut": "[base",
    "twice": "workers = 1\nworkers = 2",
    "large": "#" * (LARGEST_FILE + 1),
}


@pytest.mark.parametrize("content", TABLES)
def test_a_toml_file_that_cannot_be_used_is_refused_by_name(tmp_path, content):
    path = tmp_path / "it.toml"
    path.write_text(TABLES[content])
    for load in LOADERS:
        with pytest.raises(UsageError, match=r"it\.toml") as caught:
            load(path)
        assert len(str(caught.value)) < 500


def test_only_regular_files_are_read(tmp_path):
    fifo, loop, file = tmp_path / "fifo.toml", tmp_path / "loop.toml", tmp_path / "file"
    os.mkfifo(fifo)
    loop.symlink_to(loop)
    file.write_text("")
    sparse = tmp_path / "sparse.toml"
    with sparse.open("wb") as hole:
        hole.truncate(2**30)
    bad = (fifo, loop, sparse, tmp_path, "/dev/zero", "/dev/urandom", "/dev/null", file / "it.toml", tmp_path / "\0",
           tmp_path / ("n" * 300), "")  # fmt: skip
    for path in bad:
        for load in LOADERS:
            with pytest.raises(UsageError, match="cannot read"):
                load(path)


def test_a_file_may_have_as_many_bytes_as_the_limit(tmp_path):
    path = tmp_path / "it"
    path.write_bytes(b"12345")
    assert read_bytes(path, "it", 5) == b"12345"
    with pytest.raises(UsageError, match="more than 4 bytes"):
        read_bytes(path, "it", 4)


VALUES = {
    "a text": '"x"', "an empty text": '""', "an integer": "-7", "zero": "0", "a large integer": str(2**63 - 1),
    "a number": "1.5", "minus zero": "-0.0", "nan": "nan", "inf": "-inf", "a switch": "true", "a day": "1979-05-27",
    "a time": "07:32:00", "a moment": "1979-05-27T07:32:00Z", "an empty list": "[]", "a list": "[1, [2]]",
    "an empty table": "{}", "a table": "{a = 1}", "tables": "[{}, {a = {}}]", "controls": r'"\u001b[2J\n\u0000"',
}  # fmt: skip


@pytest.mark.parametrize("value", VALUES)
def test_every_key_with_every_type_is_taken_or_refused_by_name(value):
    made = parse_toml(f"x = {VALUES[value]}")["x"]
    for kind in ("train", "simulate"):
        for name in (*keys(kind), "nonsense", 'a"b\n', ""):
            for table in ({"base": {name: made}, "grid": {"rule": ["tail", "constant"]}}, {"grid": {name: [made, 1]}},
                          {"grid": {name: made, "workers": [1, 2]}}):  # fmt: skip
                says = refusal(parse_sweep, {"kind": kind, **table})
                assert not says or repr(name)[1:-1] in says or "points of the sweep are equal" in says
    for name in ("kind", "seed", "repetitions", "seed_axes", "base", "grid", "nonsense"):
        says = refusal(parse_sweep, {"grid": {"workers": [1, 2]}, name: made})
        assert not says or name in says or "unknown key 'a'" in says


@pytest.mark.parametrize("value", VALUES)
def test_every_field_of_a_timing_with_every_type_is_taken_or_refused(tmp_path, value):
    path = tmp_path / "it.toml"
    for form in ("{} = {}", "[timing]\n{} = {}", "[workers.4]\n{} = {}", "timing.{} = {}"):
        for name in (
            "compute",
            "read",
            "update",
            "network",
            "join",
            "pauses",
            "retry",
            "workers",
            "timing",
            '"a\\n"',
        ):
            path.write_text(form.format(name, VALUES[value]))
            assert len(refusal(load_timing, path, 4)) < 500


def test_integers_beyond_what_python_writes_out_are_refused():
    huge = 10 ** (2 * sys.get_int_max_str_digits())
    for name in keys():
        with pytest.raises(UsageError, match=f"{name} = an integer of .* bits"):
            parse_sweep({"base": {name: huge}, "grid": {"batch_size": [1, 2]}})
    for name in ("seed", "repetitions"):
        with pytest.raises(UsageError, match=f"{name} is an integer of .* bits"):
            parse_sweep({name: huge, "grid": {"batch_size": [1, 2]}})
