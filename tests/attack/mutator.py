# SPDX-License-Identifier: MIT
"""Makes inputs from others, by a random generator: the same generator makes the same input."""

NUMBERS = [
    b"0", b"-1", b"1", b"2147483647", b"2147483648", b"4294967296", b"9223372036854775808", b"18446744073709551616", b"1e400",
    b"-0", b"00", b"0x10", b"1.5", b"NaN", b"9" * 400,
]  # fmt: skip
PIECES = [
    b"\0", b"%00", b"\xff", b"\xc0\xaf", b"\xed\xa0\x80", b"\xf0\x9f\xa5\x96", b"%", b"%2e%2e/", b"../", b"..\\", b"//", b"'", b'"',
    b"\\", b"\\u0000", b"\\ud800", b"{", b"}", b"[", b"]", b":", b",", b";", b"&", b"=", b"#", b"?", b"*", b"\t", b"\x0b", b"\x7f",
    b"%s%n%x", b"${7*7}", b"{{7*7}}", b"<script>", b"' OR '1'='1", b"; DROP TABLE tasks", b"|id", b"`id`", b"$(id)", b"null", b"true",
    b"\xef\xbb\xbf", b"A" * 300,
]  # fmt: skip
LARGEST = 60_000


def _place(chance, data):
    return chance.randrange(len(data) + 1)


def _span(chance, data):
    start = _place(chance, data)
    return start, min(len(data), start + 1 + int(chance.expovariate(0.2)))


def flip(chance, data, more):
    at = chance.randrange(len(data))
    return data[:at] + bytes([data[at] ^ 1 << chance.randrange(8)]) + data[at + 1 :]


def put_byte(chance, data, more):
    at = chance.randrange(len(data))
    return data[:at] + bytes([chance.randrange(256)]) + data[at + 1 :]


def insert(chance, data, more):
    at = _place(chance, data)
    return data[:at] + chance.choice(PIECES) + data[at:]


def insert_word(chance, data, more):
    at = _place(chance, data)
    return data[:at] + chance.choice(more.words) + data[at:]


def cut(chance, data, more):
    start, end = _span(chance, data)
    return data[:start] + data[end:]


def double(chance, data, more):
    start, end = _span(chance, data)
    return data[:end] + data[start:end] * chance.choice((1, 1, 2, 10, 200)) + data[end:]


def truncate(chance, data, more):
    return data[: _place(chance, data)]


def splice(chance, data, more):
    other = chance.choice(more.seeds)
    return data[: _place(chance, data)] + other[_place(chance, other) :]


def number(chance, data, more):
    digits = [at for at, byte in enumerate(data) if 48 <= byte <= 57]
    if not digits:
        return data
    start = end = chance.choice(digits)
    while end < len(data) and 48 <= data[end] <= 57:
        end += 1
    return data[:start] + chance.choice(NUMBERS) + data[end:]


def swap_case(chance, data, more):
    start, end = _span(chance, data)
    return data[:start] + data[start:end].swapcase() + data[end:]


WAYS = [flip, put_byte, insert, insert_word, cut, double, truncate, splice, number, swap_case]


class Mutator:
    def __init__(self, seeds, words):
        self.seeds, self.words = seeds, words

    def make(self, chance):
        """One to five changes of one seed; sometimes none."""
        data = chance.choice(self.seeds)
        if chance.random() < 0.02:
            return data
        for _ in range(chance.choice((1, 1, 1, 2, 2, 3, 5))):
            way = chance.choice(WAYS)
            if data or way in (insert, insert_word, splice):
                data = way(chance, data, self)
        return data[:LARGEST]
