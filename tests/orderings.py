"""The litmus tests of tests/litmus, run by herd7: may the bad outcome happen under the rules of C11, and of ARM?

Each file holds the heart of a protocol, written with the operations of `asapnb.kernels.atomics`. It is translated to
C11 and to ARM's instructions, of version 8.0 (`ldaxr`, `stlxr`) and of 8.1 (`casal`, `ldaddal`). LLVM makes these of
the operations: see tests/test_atomics.py. docs/explanation/memory-order.md explains. `make model` runs all of them.
"""

import itertools
import re
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import NamedTuple

from processes import LIMIT

FOLDER = Path(__file__).parent / "litmus"
TOOL = "herd7"
MODELS = {"C11": "rc11.cat", "ARM 8.0": "aarch64.cat", "ARM 8.1": "aarch64.cat"}


class Check(NamedTuple):
    """A litmus test: the file, what is changed in it, and where that makes the bad outcome possible."""

    file: str
    changes: dict[str, str] = {}  # noqa: RUF012 (nobody changes it)
    possible: tuple[str, ...] = ()


ANYWHERE = tuple(MODELS)
CHECKS = {
    "rows": Check("rows"),
    "the lock": Check("lock"),
    "a vector is published": Check("publish"),
    "a vector is used again": Check("reuse"),
    "a vector is left": Check("release"),
    "a view is announced": Check("announce"),
    "the gate": Check("gate"),
    "a mailbox": Check("mailbox"),
    "tables of scales": Check("tables"),
    "a change of the number of workers": Check("workforce"),
    "a change, where versions are stored": Check(  # under the lock: C++20 forbids it, the older rules of herd7 do not
        "workforce", {"int made = fetch_add(version, 1)": "store(version, 1)"}, ("C11",)
    ),
    "a barrier": Check("barrier"),
    "a replay": Check("replay"),
    "claims of Hogwild": Check("claims"),
    "by design: Hogwild loses additions": Check("lost", {}, ANYWHERE),
    "broken: the number of a row does not release": Check("rows", {"store(written": "relaxed(written"}, ANYWHERE),
    "broken: a place is freed without release": Check("rows", {"store(drained": "relaxed(drained"}, ANYWHERE),
    "broken: the lock is left without release": Check("lock", {"store(word": "relaxed(word"}, ANYWHERE),
    "broken: no second look at the pointer": Check("reuse", {"again == 0": "again < 2"}, ANYWHERE),
    "broken: the pin comes after the look": Check(
        "reuse",
        {"int before = fetch_add(readers, 1);": "", "view = 9;": "view = 9; int before = fetch_add(readers, 1);"},
        ANYWHERE,
    ),
    "broken: marked as stale after the pin is released": Check(
        "release", {"store(state, 1);\n  int after = fetch_add(readers, -1);": "int after = fetch_add(readers, -1);\n"
                    "  store(state, 1);"}, ("C11",)
    ),
    "broken: a view is announced without a pin": Check(
        "announce", {"int count = fetch_add(readers, 1);": ""}, ("C11",)
    ),
    "broken: a view is announced without release or pin": Check(
        "announce", {"int count = fetch_add(readers, 1);": "", "store(reading": "relaxed(reading"}, ANYWHERE
    ),
    "broken: the gate opens without release": Check("gate", {"store(closes": "relaxed(closes"}, ("C11", "ARM 8.0")),
    "broken: a mailbox is posted without release": Check("mailbox", {"store(box, 2)": "relaxed(box, 2)"}, ANYWHERE),
    "broken: a mailbox is emptied without release": Check("mailbox", {"store(box, 0)": "relaxed(box, 0)"}, ANYWHERE),
    "broken: a table is written without a fence": Check("tables", {"  fence();\n  racing": "  racing"}, ANYWHERE),
    "broken: an entry is read without a fence": Check("tables", {"(entry);\n  fence();": "(entry);"}, ANYWHERE),
    "broken: a change is announced by a store": Check(
        "workforce", {"int done = swap(changes, 1, 2)": "store(changes, 2)"}, ("C11",)
    ),
    "broken: the last at a barrier does not release": Check(
        "barrier", {"store(phase": "relaxed(phase"}, ("C11", "ARM 8.0")
    ),
    "broken: a gradient is ready without release": Check("replay", {"store(ready": "relaxed(ready"}, ANYWHERE),
    "broken: an operation is done without release": Check("replay", {"store(done": "relaxed(done"}, ANYWHERE),
}  # fmt: skip

C11 = {  # the operations of the files in C; {0} and {1} are arguments
    "store": "atomic_store_explicit({0}, {1}, memory_order_release)",
    "relaxed": "atomic_store_explicit({0}, {1}, memory_order_relaxed)",
    "racing": "atomic_store_explicit({0}, {1}, memory_order_relaxed)",
    "load": "atomic_load_explicit({0}, memory_order_seq_cst)",
    "raced": "atomic_load_explicit({0}, memory_order_relaxed)",
    "fetch_add": "atomic_fetch_add_explicit({0}, {1}, memory_order_seq_cst)",
    "swap": "atomic_compare_exchange_strong_explicit({0}, expected{1}, {2}, memory_order_seq_cst,"
    " memory_order_seq_cst)",
    "take": "atomic_exchange_explicit({0}, 1, memory_order_seq_cst)",  # which herd7 follows faster than a swap
    "fence": "atomic_thread_fence(memory_order_acq_rel)",
}
ARM = {  # in ARM's instructions; {r} is the register of the result, {end} the end of the thread, {n} a number
    "store": ["MOV W20,#{1}", "STLR W20,[{0}]"],
    "relaxed": ["MOV W20,#{1}", "STR W20,[{0}]"],
    "racing": ["MOV W20,#{1}", "STR W20,[{0}]"],
    "load": ["LDAR {r},[{0}]"],
    "raced": ["LDR {r},[{0}]"],
    "fence": ["DMB ISH"],
}
LATER = {  # version 8.1
    "fetch_add": ["MOV W20,#{1}", "LDADDAL W20,{r},[{0}]"],
    "swap": ["MOV W20,#{1}", "MOV W21,#{2}", "CASAL W20,W21,[{0}]", "CMP W20,#{1}", "CSET {r},EQ"],
    "take": ["MOV {r},#0", "MOV W21,#1", "CASAL {r},W21,[{0}]"],
}
DONE = "W18"  # 1 in a thread that has come to its end
EARLIER = {  # version 8.0: a thread whose exclusive store fails stops there, and does not come to its end
    "fetch_add": ["LDAXR {r},[{0}]", "ADD W21,{r},#{1}", "STLXR W22,W21,[{0}]", "CBNZ W22,{end}"],
    "swap": ["MOV {r},#0", "LDAXR W20,[{0}]", "CMP W20,#{1}", "B.NE no{n}", "MOV W21,#{2}", "STLXR W22,W21,[{0}]",
             "CBNZ W22,{end}", "MOV {r},#1", "no{n}:"],
    "take": ["LDAXR {r},[{0}]", "CBNZ {r},no{n}", "MOV W21,#1", "STLXR W22,W21,[{0}]", "CBNZ W22,{end}", "no{n}:"],
}  # fmt: skip
CALL = re.compile(rf"\b({'|'.join(C11)})\(([^()]*)\)")
THREAD = re.compile(r"^P(\d) \((.*?)\) \{\n(.*?)^\}", re.MULTILINE | re.DOTALL)


def source(check):
    """The text of a litmus test with its changes."""
    text = (FOLDER / f"{check.file}.litmus").read_text()
    for old, new in check.changes.items():
        assert old in text, f"{check.file}.litmus has no {old!r}"
        text = text.replace(old, new)
    return text


def in_c(text):
    """The test in C11. A swap compares with a variable of its own, which begins as the expected value."""
    threads, initial = "", re.search(r"^\{(.*)\}", text, re.MULTILINE)[1]

    def call(found):
        return C11[found[1]].format(*found[2].split(", "))

    for me, parameters, body in THREAD.findall(text):
        swaps = sorted(set(re.findall(r"swap\(\w+, (\d)", body)))
        code = CALL.sub(call, body)
        for value in swaps:
            name = f"expected{me}{value}"
            code, parameters = code.replace(f"expected{value},", f"{name},"), f"{parameters}, int* {name}"
            initial += f" {name} = {value};"
        threads += f"P{me} ({parameters}) {{\n{code}}}\n\n"
    return f"C {text.split()[1]}\n{{{initial} }}\n\n{threads}{condition(text)}"


def condition(text):
    """The bad outcome."""
    return f"exists ({re.search(r'^exists (.*)', text, re.MULTILINE | re.DOTALL)[1].strip()})\n"


def in_arm(text, version):
    """The test in ARM's instructions, of version "8.0" or "8.1"."""
    table = ARM | (LATER if version == "8.1" else EARLIER)
    initial, columns, places = re.search(r"^\{(.*)\}", text, re.MULTILINE)[1], [], {}
    for me, parameters, body in THREAD.findall(text):
        addresses = {name: f"X{i}" for i, name in enumerate(re.findall(r"\* (\w+)", parameters))}
        initial += "".join(f" {me}:{register}={name};" for name, register in addresses.items())
        code, registers = _thread(body, addresses, table, f"end{me}")
        places |= {f"{me}:{name}": f"{me}:X{register[1:]}" for name, register in registers.items()}
        columns.append(code)
    lines = [f" P{me}" for me in range(len(columns))], *itertools.zip_longest(*columns, fillvalue="")
    wanted = re.sub(r"\d:\w+", lambda found: places[found[0]], condition(text)).strip()
    wanted += "".join(f" /\\ {me}:X{DONE[1:]}=1" for me in range(len(columns))) + "\n"
    code = "".join(" | ".join(line) + " ;\n" for line in lines)
    return f"AArch64 {text.split()[1]}\n{{{initial} }}\n{code}\n{wanted}"


def _thread(body, addresses, table, end):
    """The instructions of a thread, and the register of each of its variables."""
    code, registers, blocks = [], {}, []

    def register(name):
        return registers.setdefault(name, f"W{5 + len(registers)}")

    for statement in re.findall(r"[^;{}]+[;{]|\}", body):
        words = statement.strip().removesuffix(";").removeprefix("int ").strip()
        if words == "}":
            code.append(f"{blocks.pop()}:")
        elif found := re.fullmatch(r"if \((\w+) (==|<) (\d)\) \{", words):
            blocks.append(f"skip{len(code)}{end}")
            code += [f"CMP {register(found[1])},#{found[3]}", f"B.{'NE' if found[2] == '==' else 'GE'} {blocks[-1]}"]
        elif found := re.fullmatch(r"\*(\w+) = (\w+)", words):
            value = found[2] if not found[2].isdigit() else None
            code += [] if value else [f"MOV W20,#{found[2]}"]
            code.append(f"STR {register(value) if value else 'W20'},[{addresses[found[1]]}]")
        elif found := re.fullmatch(r"(\w+) = \*(\w+)", words):
            code.append(f"LDR {register(found[1])},[{addresses[found[2]]}]")
        elif found := re.fullmatch(r"(\w+) = (\d)", words):
            code.append(f"MOV {register(found[1])},#{found[2]}")
        elif found := re.fullmatch(r"(?:(\w+) = )?(\w+)\((.*)\)", words):
            place, *values = [one for one in found[3].split(", ") if one] or [""]
            names = {"r": register(found[1]) if found[1] else "W19", "end": end, "n": f"{len(code)}{end}"}
            code += [line.format(addresses.get(place), *values, **names) for line in table[found[2]]]
        else:
            raise ValueError(f"not understood: {words}")
    return [*code, f"MOV {DONE},#1", f"{end}:"], registers


def run(check, model, folder):
    """What herd7 says: whether the bad outcome is possible, or two plain accesses race; its output."""
    text = source(check)
    translated = in_c(text) if model == "C11" else in_arm(text, model.split()[1])
    file = Path(folder, f"{check.file}.litmus")
    file.write_text(translated)
    command = [TOOL, "-model", MODELS[model], str(file)]
    done = subprocess.run(command, text=True, capture_output=True, timeout=LIMIT)
    output = f"{translated}\n{done.stdout}{done.stderr}"
    found = re.search(r"^Observation \w+ (Never|Sometimes|Always)", done.stdout, re.MULTILINE)
    assert found, output
    return found[1] != "Never" or "Flag *undef*" in done.stdout, output


def main():
    """Run all checks; print where the bad outcome is possible."""
    if not shutil.which(TOOL):
        print(f"without {TOOL} (Debian 14: herdtools7) the litmus tests are left out")
        return
    for name, check in CHECKS.items():
        with tempfile.TemporaryDirectory() as folder:
            found = {model: run(check, model, folder) for model in MODELS}
        possible = tuple(model for model, (bad, _) in found.items() if bad)
        print(f"{name:55} {'possible: ' + ', '.join(possible) if possible else 'impossible'}", flush=True)
        if possible != check.possible:
            raise SystemExit("\n".join(output for bad, output in found.values()))


if __name__ == "__main__":
    main()
