"""What depends on the processor: the kernels that are chosen, and what is said of those that cannot be."""

import pytest
from processes import python

from asapnb import compiled
from asapnb.errors import UsageError
from asapnb.platforms import HERE, describe

X86, ARM, APPLE, OTHER = (
    describe(*place)
    for place in (("x86_64", "linux"), ("aarch64", "linux"), ("arm64", "darwin"), ("riscv64", "linux"))
)
AVX2, AVX512 = "+avx,+avx2,+fma", "+avx,+avx2,+fma,+avx512f"
NEON = "+aes,+crc,+fp-armv8,+lse,+neon"


@pytest.mark.parametrize(
    ("here", "features", "path"),
    [
        (X86, AVX512, "avx512"),
        (X86, AVX2, "avx2"),
        (X86, "+avx,+avx2", "portable"),
        (X86, "", "portable"),
        (ARM, NEON, "portable"),
        (ARM, AVX512, "portable"),  # whatever the CPU says of itself
        (APPLE, NEON, "portable"),
        (OTHER, "", "portable"),
    ],
)
@pytest.mark.parametrize("asked", [None, "auto"])
def test_the_best_kernels_of_the_processor_are_chosen(here, features, path, asked, monkeypatch):
    monkeypatch.setattr(compiled, "_cpu_features", lambda: features)
    monkeypatch.delenv("ASAPNB_KERNELS", raising=False)
    if asked is not None:
        monkeypatch.setenv("ASAPNB_KERNELS", asked)
    assert compiled._choose_path(here) == path


@pytest.mark.parametrize("here", [ARM, APPLE, OTHER])
def test_a_processor_without_avx_has_the_portable_kernels_alone(here, monkeypatch):
    monkeypatch.setenv("ASAPNB_KERNELS", "portable")
    assert compiled._choose_path(here) == "portable"
    for asked in ("avx2", "AVX512"):
        monkeypatch.setenv("ASAPNB_KERNELS", asked)
        with pytest.raises(UsageError, match=f"ASAPNB_KERNELS is {asked.lower()}: those kernels are for x86-64"):
            compiled._choose_path(here)


@pytest.mark.parametrize("asked", ["auto", "avx2"])
def test_the_command_line_on_an_arm_processor(asked):
    code = "import platform; platform.machine = lambda: 'aarch64'; from asapnb.cli import main; main()"
    done = python("-c", code, "info", "--json", environment={"ASAPNB_KERNELS": asked}, check=False)
    if asked == "auto":
        assert '"kernels": "portable"' in done.stdout, done.stderr
    else:
        assert (done.returncode, "processor is aarch64; unset it" in done.stderr) == (2, True), done.stderr
        assert "Traceback" not in done.stderr


def test_each_platform_has_its_own_numbers():
    assert (X86.futex, ARM.futex, APPLE.futex, OTHER.futex) == (202, 98, None, None)
    assert [one.pause and one.pause[0].split(".")[1] for one in (X86, ARM, APPLE, OTHER)] == [
        "x86",
        "aarch64",
        "aarch64",
        None,
    ]
    assert (X86.line_bytes, ARM.line_bytes, APPLE.line_bytes) == (64, 64, 128)
    assert describe("AMD64", "linux").kernel_paths == X86.kernel_paths
    assert compiled.KERNEL_PATH in HERE.kernel_paths
