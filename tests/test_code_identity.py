"""The identity of code: the same in every process, another for whatever changes, no guess where it is unseen."""

import functools
import json
import threading
from dataclasses import dataclass, field

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from problems import pull, quadratic
from processes import python

import asapnb as ab
from asapnb.identity import Piece, difference, identified, pieces_from
from asapnb.identity.digest import digest_of
from asapnb.problems import custom
from asapnb.problems.text import code_of
from asapnb.rules import as_rule, preserve, shuffled
from asapnb.staleness import StalenessDistribution

SCALE = 1.0


def full(staleness, workers, c=1.0):
    return np.full(len(staleness), c)


def uses_a_global(staleness, workers):
    return np.full(len(staleness), SCALE)


def closed_over(value):
    def rule(staleness, workers):
        return np.full(len(staleness), value)

    return rule


class Plain:
    def __init__(self, c):
        self.c = c

    def __call__(self, staleness, workers):
        return np.full(len(staleness), np.sum(self.c))

    def method(self, staleness, workers):
        return self(staleness, workers)


@dataclass(frozen=True)
class Data:
    c: float
    names: dict = field(default_factory=dict)

    def __call__(self, staleness, workers):
        return np.full(len(staleness), self.c)


class Slotted:
    __slots__ = ("c",)

    def __init__(self, c):
        self.c = c

    def __call__(self, staleness, workers):
        return np.full(len(staleness), self.c)


VALUES = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5) | st.binary()
NESTED = st.recursive(VALUES, lambda inner: st.lists(inner, max_size=3) | st.tuples(inner, inner), max_leaves=6)
MAKERS = {
    "closure": closed_over,
    "partial": lambda value: functools.partial(full, c=value),
    "argument of a partial": lambda value: functools.partial(full, value),
    "object": Plain,
    "method": lambda value: Plain(value).method,
    "dataclass": Data,
    "slots": Slotted,
    "default": lambda value: lambda staleness, workers, c=value: c,
    "keyword default": lambda value: lambda staleness, workers, *, c=value: c,
    "array": lambda value: closed_over(np.array([value], dtype=object)),
    "nested": lambda value: closed_over(closed_over({"key": value})),
}


@given(NESTED, NESTED, st.sampled_from(sorted(MAKERS)))
def test_a_value_of_any_kind_is_part_of_it(one, other, kind):
    make = MAKERS[kind]
    assert digest_of(make(one)) == digest_of(make(one))
    same = repr(one) == repr(other)  # 1, 1.0 and True are not the same, nor are 0.0 and -0.0
    assert (digest_of(make(one)) == digest_of(make(other))) == same


@pytest.mark.parametrize(
    "change",
    [("+ 1", "+ 2"), ("+ 1", "- 1"), ("x", "y"), ("b=2", "b=3"), ("'t'", "'u'"), ("C = 5", "C = 6"), ("* 3", "* 4"),
     ("range", "reversed"), ("lambda: 7", "lambda: 8")],
)  # fmt: skip
def test_any_change_of_code_changes_it_and_a_remark_or_another_place_does_not(change):
    source = "C = 5\ndef g(z): return z * 3\n"
    source += "def f(x, *, b=2):\n    inner = lambda: 7\n    return g(x) + 1, 't', C, range\n"

    def digest(text, name="a.py"):
        space = {"__name__": "mine"}
        exec(compile(text, name, "exec"), space)
        return digest_of(space["f"])

    assert digest(source) == digest("# a remark\n\n" + source, "/elsewhere/b.py")
    assert digest(source) != digest(source.replace(*change))


PROGRAM = """
import functools, json, os, sys
sys.path.insert(0, {tests!r})
import numpy as np, test_code_identity as here
from numba import types
from asapnb.identity.digest import digest_of
made = {{name: digest_of(make({{"a": 1.5, "b": [None, "x"]}})) for name, make in here.MAKERS.items()}}
made["set"] = digest_of(here.closed_over(frozenset(["one", "two", "three", "four"])))
made["random"] = digest_of(here.closed_over(np.random.default_rng(3)))
made["global"] = digest_of(here.uses_a_global)
made["gradient"] = digest_of(here.pull)
before = [types.UniTuple(types.int8, 90 + i) for i in range(int(os.environ["PYTHONHASHSEED"]))]
made["type of Numba"] = digest_of(types.ExternalFunction("usleep", types.int32(types.uint32)))
made["rule"] = here.as_rule(here.preserve(here.full)).code.digest
made["problem"] = here.code_of(here.quadratic()).digest
print(json.dumps(made))
"""


def test_other_processes_find_the_same(tmp_path):
    program = PROGRAM.format(tests=__file__.rpartition("/")[0])
    found = [json.loads(python("-c", program, environment={"PYTHONHASHSEED": seed}).stdout) for seed in ("1", "2")]
    assert found[0] == found[1]
    assert found[0]["rule"] == preserve(full).code.digest
    assert found[0]["problem"] == code_of(quadratic()).digest
    assert len({*found[0].values()}) == len(found[0])


def test_globals_and_helpers_are_part_of_it(monkeypatch):
    before = digest_of(uses_a_global)
    monkeypatch.setitem(globals(), "SCALE", 2.0)
    assert digest_of(uses_a_global) != before

    def calls_a_global(x):
        return closed_over(x)

    held = digest_of(calls_a_global)
    monkeypatch.setitem(globals(), "closed_over", lambda value: value)
    assert digest_of(calls_a_global) != held


@pytest.mark.parametrize(
    "code",
    [
        "import enum\nclass Kind(enum.IntEnum):\n    A = {}\ndef rule(s, w): return Kind.A",
        "class Meta(type):\n    def __call__(cls, s, w): return {}\nclass rule(metaclass=Meta): pass",
        "import types\nown = types.ModuleType('own')\nown.a = {}\ndef rule(s, w): return getattr(own, 'a')",
        "a = {}\ndef rule(s, w): return eval('a')",
        "a = {}\ndef rule(s, w): return globals()['a']",
        "import functools\n@functools.lru_cache\ndef half(w): return {}\ndef rule(s, w): return half(w)",
    ],
    ids=["enum", "metaclass", "getattr", "eval", "globals", "cache"],
)
def test_values_that_only_run_time_finds_are_part_of_it(code):
    found = []
    for value in (1, 2):
        space = {"__name__": "mine"}
        exec(code.format(value), space)
        found.append(identified("rule", "rule", space["rule"]).digest)
    assert found[0] != found[1]


def test_functions_that_call_each_other_have_one():
    space = {"__name__": "mine"}
    exec("def f(n): return g(n - 1) if n else 1\ndef g(n): return f(n - 1) if n else 2", space)
    assert digest_of(space["f"]) == digest_of(space["f"]) != digest_of(space["g"])


@pytest.mark.parametrize("state", [threading.Lock(), (n for n in [1]), memoryview(b"x")], ids=["lock", "it", "view"])
def test_what_cannot_be_seen_equals_only_itself(state):
    rule = closed_over(state)
    one, other = (identified("rule", "rule", made) for made in (rule, closed_over(state)))
    assert one.digest.startswith("unknown-")
    assert "state that cannot be seen" in one.unknown or "C function" in one.unknown
    assert one.digest != other.digest
    assert one.digest == identified("rule", "rule", rule).digest


def test_rules_of_asapnb_have_none_and_rules_of_rules_that_of_the_inner_one():
    for text in ("tail", "preserve(inverse)", "profile([3, 1])", "mindthestep(model=poisson)"):
        assert as_rule(text).code is None
    for around in (preserve, shuffled):
        one, other = (around(functools.partial(full, c=c)).code for c in (1, 2))
        assert one.digest != other.digest
        assert "np.full(len(staleness), c)" in one.sources["test_code_identity.py:full"]
    partial = as_rule(functools.partial(full, c=0.5))
    assert (partial.name, partial.code.parameters) == ("full", {"c": "0.5"})
    assert as_rule(functools.partial(functools.partial(full), 0.5)).name == "full"
    assert "0x" not in repr(ab.rules.profile(functools.partial(np.interp, xp=[0, 1], fp=[2, 1])))


def test_problems_of_one_s_own(monkeypatch):
    assert code_of(ab.problems.quadratic([1.0, 2.0])) is None
    arrays = np.zeros((3, 2), np.float32), [0, 0, 0]
    base = code_of(custom(pull, *arrays, 2)).digest
    assert base == code_of(custom(pull, *arrays, 2)).digest
    others = [
        custom(pull, np.ones((3, 2), np.float32), arrays[1], 2),
        custom(pull, *arrays, 2, dtype=np.float64),
        custom(pull, *arrays, 2, init=lambda n, generator: np.ones(n)),
        custom(pull, *arrays, 2, evaluate=lambda params, split: (0.0, 0.0)),
    ]
    assert len({base, *(code_of(other).digest for other in others)}) == 5


def test_pieces_in_a_file_are_checked():
    piece = identified("rule", "full", full)
    assert pieces_from([piece.plain], "run.h5") == (piece,)
    assert pieces_from(None, "run.h5") is None
    for bad in (3, [3], ["x"], [{"kind": "rule"}], [{**piece.plain, "files": 3}], [{**piece.plain, "name": 3}],
                [{**piece.plain, "sources": {"a": 1}}], {"kind": "rule"}):  # fmt: skip
        with pytest.raises(ab.RecordError, match=r"attribute code of run\.h5 is damaged"):
            pieces_from(bad, "run.h5")


def test_a_difference_is_of_bounded_length():
    before, now = ({"f.py": "\n".join(f"{word} {n}" for n in range(500))} for word in ("old", "new"))
    shown = difference(before, now).splitlines()
    assert len(shown) == 61
    assert shown[-1] == "… 943 lines more"


def test_an_object_that_counts_has_the_identity_that_it_had_when_it_became_a_rule():
    class Counting:
        def __init__(self):
            self.calls = 0

        def __call__(self, staleness, workers):
            self.calls += 1
            return np.ones(len(staleness))

    rule, again = as_rule(counting := Counting()), as_rule(Counting())
    rule(StalenessDistribution.from_counts([1]), 1)
    assert counting.calls == 1
    assert rule.code == again.code
    assert isinstance(rule.code, Piece)
