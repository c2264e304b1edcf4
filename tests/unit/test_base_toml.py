"""The lines of a document's keys: against Python's own reader, on documents of every shape."""

from collections.abc import Mapping, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.base.errors import TallygateError
from gateway.base.toml import KeyPath, read_toml


def lines(text: str) -> Mapping[KeyPath, int]:
    return read_toml(text, place="t").lines


def test_keys_of_every_form_have_their_line() -> None:
    text = '''\
# a comment with [brackets] and k = 1
top = 1
"quoted key" = 2
'raw' = 3
"esc\\u0061ped" = 4
a . "b" .c = 5

[table]   # behind it
key = """
[no] table
nor = "a key"
"""
raw = \'\'\'
still = 'not'
\'\'\'
list = [ # comment with ]
  1, "]", [2,
  3], { in = 1, "side" = [4] },
]
inline = { x = 1, y.z = "}", w = { v = 2000-01-01 10:00:00 } }
[ table . "sub" ]
k=1
[[many]]
k = 1
[[many]]
k = 2
[many.below]
k = 3
'''
    found = lines(text)
    assert found["top",] == 2
    assert found["quoted key",] == 3
    assert found["raw",] == 4
    assert found["escaped",] == 5
    assert found["a", "b", "c"] == 6
    assert found["a", "b"] == 6
    assert found["table",] == 8
    assert found["table", "key"] == 9
    assert ("table", "nor") not in found
    assert found["table", "raw"] == 13
    assert found["table", "list"] == 16
    assert [found["table", "list", n] for n in range(4)] == [17, 17, 17, 18]
    assert found["table", "list", 2, 1] == 18
    assert found["table", "list", 3, "side", 0] == 18
    assert found["table", "inline", "y", "z"] == 20
    assert found["table", "inline", "w", "v"] == 20
    assert found["table", "sub", "k"] == 22
    assert found["many", 0, "k"] == 24
    assert found["many", 1, "k"] == 26
    assert found["many", 1, "below", "k"] == 28


@pytest.mark.parametrize(
    ("text", "line"),
    [("a = 1\nb = \n", "t:2"), ("a = 1\na = 2\n", "t:2"), ("x = [1,\n", "t:2"), ("b = 08\n", "t:1")],
)
def test_what_is_no_toml_is_refused_with_its_line(text: str, line: str) -> None:
    with pytest.raises(TallygateError) as caught:
        read_toml(text, place="t")
    assert (caught.value.code, caught.value.place) == ("config.toml", line)


@pytest.mark.parametrize("text", ["x = " + "[" * 5_000 + "]" * 5_000, "n = " + "9" * 5_000])
def test_what_python_cannot_hold_is_refused(text: str) -> None:
    with pytest.raises(TallygateError, match=r"config\.toml"):
        read_toml(text, place="t")


# --- Documents of every shape, written by us, read by Python: both must know the same keys. ---

KEYS = st.text(st.characters(min_codepoint=32, max_codepoint=0x2FF), max_size=5)
BARE = st.from_regex(r"[A-Za-z0-9_-]{1,4}", fullmatch=True)
TEXTS = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), max_size=8)
GAPS = st.sampled_from(["", " ", "\t ", "  "])
BREAKS = st.sampled_from(["", " ", "\n", "\n  # [c] = ]}\n", "\r\n"])


def escaped(text: str) -> str:
    return "".join(f"\\U{ord(char):08X}" if char in '"\\' else char for char in text)


@st.composite
def keys(draw: st.DrawFn) -> str:
    match draw(st.integers(0, 2)):
        case 0:
            return draw(BARE)
        case 1:
            return f'"{escaped(draw(KEYS))}"'
    return f"'{draw(KEYS).replace(chr(39), '')}'"


@st.composite
def scalars(draw: st.DrawFn) -> str:
    text = draw(TEXTS)
    plain = text.replace("'", "")
    words = ["1", "-0.5e3", "true", "inf", "1979-05-27 07:32:00Z", "1979-05-27T07:32:00", "07:32:00", "0xFF"]
    words += [f'"{escaped(text)}"', f"'{plain}'", f'"""{escaped(text)}\n[x]\ny = 1"""', f"'''\n{plain}\n'''"]
    return draw(st.sampled_from([*words, f'"""{escaped(text)}\\"""""', f"'''{plain}\n#''''"]))


def arrays(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    def written(items: Sequence[str], gaps: Sequence[str], comma: bool) -> str:
        parts = [f"{gap}{item}{gap}" for item, gap in zip(items, gaps, strict=False)]
        return "[" + ",".join(parts) + (",\n" if comma and parts else "") + gaps[-1] + "]"

    return st.builds(
        written, st.lists(inner, max_size=3), st.lists(BREAKS, min_size=4, max_size=4), st.booleans()
    )


@st.composite
def inline_tables(draw: st.DrawFn, inner: st.SearchStrategy[str]) -> str:
    gap = draw(GAPS)
    names = draw(st.lists(keys(), max_size=3))
    return "{" + gap + f"{gap},{gap}".join(f"{name}{gap}={gap}{draw(inner)}" for name in names) + gap + "}"


VALUES = st.recursive(scalars(), lambda inner: arrays(inner) | inline_tables(inner), max_leaves=6)


@st.composite
def documents(draw: st.DrawFn) -> str:
    text = ""
    for _ in range(draw(st.integers(1, 6))):
        path = ".".join(draw(st.lists(keys(), min_size=1, max_size=2)))
        text += draw(
            st.sampled_from(
                [
                    f"{path} = {draw(VALUES)}",
                    f"[{path}]",
                    f"[[{path}]]",
                    "# [c]",
                    "",
                    f" {path}\t= {draw(VALUES)} # =",
                ]
            )
        )
        text += draw(st.sampled_from(["\n", "\r\n", "\n\n"]))
    return text


def flat(value: object, path: KeyPath = ()) -> set[KeyPath]:
    if isinstance(value, dict):
        return {path}.union(*(flat(one, (*path, key)) for key, one in value.items()))
    if isinstance(value, list):
        return {path}.union(*(flat(one, (*path, number)) for number, one in enumerate(value)))
    return {path}


@given(documents())
def test_the_scanner_finds_exactly_the_keys_that_python_reads(text: str) -> None:
    try:
        document = read_toml(text, place="t")
    except TallygateError:
        return
    assert set(document.lines) | {()} == flat(document.values)
    last = text.count("\n") + 1
    assert all(1 <= line <= last for line in document.lines.values())
