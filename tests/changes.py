"""Valid texts and files, changed at random: what a hand, a disk or an enemy might make of them."""

import random
import string

_DIGITS = ["0", "-1", "1e999", "nan", "-inf", "1e-320", "9" * 20, "9" * 5000, str(2**63), "0x10", "1_0", "1j", "٣"]
NUMBERS = [*_DIGITS, "-" * 300]
_MARKS = [*"()[]{},=.:'#*\\\n\r\0\x7f", '"', "**", "[[", "]]", "'''", "[" * 100_000, "(" * 3000, "a" * 100_000]
_WORDS = ["lambda", "None", "True", "../", "/etc/passwd", "/dev/zero", ".toml", "x.py:f", "1979-05-27"]
_LETTERS = ["é", "\ud800", "\u202e", "\ufeff", "\x1b[2J", "%s", "$x$", "<b>"]
PIECES = [*_MARKS, *_WORDS, *_LETTERS]
WORDS = [0, 1, 0x7F, 0x80, 0xFF, 0xFFFF, 2**31 - 1, 2**31, 2**32 - 1, 2**62, 2**63 - 1, 2**63, 2**64 - 1]


def changed_text(draw: random.Random, valid: list[str]) -> str:
    """One to four changes: spans go, come twice, move or come from another text; numbers and pieces get odd."""
    text = draw.choice(valid)
    for _ in range(draw.randint(1, 4)):
        start, stop = sorted(draw.randrange(len(text) + 1) for _ in range(2))
        stop = min(stop, start + draw.choice([1, 4, 20, 10**6]))
        span, kind = text[start:stop], draw.randrange(7)
        if kind == 0:
            span = ""
        elif kind == 1:
            span *= draw.choice([2, 2, 3, 50])
        elif kind == 2:
            other = draw.choice(valid)
            at = draw.randrange(len(other) + 1)
            span = other[at : at + draw.randint(1, 40)]
        elif kind == 3:
            span = "".join(draw.choices(string.printable, k=draw.randint(1, 5)))
        elif kind == 4:
            span = draw.choice(PIECES)
        else:  # a number of the text, if there is one
            places = [i for i, letter in enumerate(text) if letter.isdigit()]
            if places:
                start = draw.choice(places)
                stop = start + 1
            span = draw.choice(NUMBERS)
        text = (text[:start] + span + text[stop:])[:300_000]
    return text


def changed_bytes(draw: random.Random, valid: list[bytes]) -> bytes:
    """One to eight changes: bits, words, spans, cuts. Half of them are near the start, where the headers are."""
    data = bytearray(draw.choice(valid))
    for _ in range(draw.randint(1, 8)):
        size = len(data)
        if not size:
            break
        at = min(size - 1, int(draw.choice([draw.random() ** 4, draw.random()]) * size))
        kind = draw.randrange(7)
        if kind == 0:
            data[at] ^= 1 << draw.randrange(8)
        elif kind == 1:
            data[at] = draw.choice([0, 1, 0x7F, 0x80, 0xFF, draw.randrange(256)])
        elif kind == 2:
            width = draw.choice([2, 4, 8])
            at -= at % width
            word = (draw.choice(WORDS) % 256**width).to_bytes(width, draw.choice(["little", "big"]))
            data[at : at + width] = word
        elif kind == 3:
            other = draw.choice(valid)
            start, length = draw.randrange(len(other)), draw.choice([4, 64, 4096])
            data[at : at + length] = other[start : start + length]
        elif kind == 4:
            data[at : at + draw.choice([1, 8, 512])] = b""
        elif kind == 5:
            data[at:at] = bytes(draw.choices(range(256), k=draw.choice([1, 8])))
        elif draw.random() < 0.3:
            del data[at:]
    return bytes(data)
