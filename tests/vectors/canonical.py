"""canonical_json.json: the JSON of manifests and feed objects (RFC 8785, narrowed), value by value."""

from collections.abc import Iterator

from tests.vectors.encoding import MAX_NUMBER
from tests.vectors.render import Json, render


def _good() -> Iterator[dict[str, Json]]:
    controls = "".join(map(chr, range(32)))
    cases: tuple[tuple[str, str, Json, str], ...] = (
        ("null", "", None, "null"),
        ("0", "the smallest number", 0, "0"),
        ("2^53-1", "the largest number", MAX_NUMBER, "9007199254740991"),
        ("an empty string", "", "", '""'),
        ("an empty array", "", [], "[]"),
        ("an empty object", "", {}, "{}"),
        (
            "nested",
            "nothing stands between the tokens",
            [[], {"a": [1, None]}, "b"],
            '[[],{"a":[1,null]},"b"]',
        ),
        ("the order of an array", "is kept", [3, 1, 2], "[3,1,2]"),
        ("keys", "are sorted, in every object", {"b": {"d": 1, "c": 2}, "a": 3}, '{"a":3,"b":{"c":2,"d":1}}'),
        ("a key that begins another", "stands before it", {"aa": 1, "a": 2, "": 3}, '{"":3,"a":2,"aa":1}'),
        ("digits as keys", "are texts: 10 before 9", {"9": 1, "10": 2}, '{"10":2,"9":1}'),
        ("upper case", "before lower case", {"a": 1, "B": 2}, '{"B":2,"a":1}'),
        (
            "keys beyond U+FFFF",
            "as UTF-16: U+1F600 is D83D DE00 and so stands before U+FB33, unlike in UTF-8",
            {"\ufb33": 1, "\U0001f600": 2, "\u20ac": 3},
            '{"\u20ac":3,"\U0001f600":2,"\ufb33":1}',
        ),
        (
            "control characters",
            "the short form where there is one, else lower-case hex",
            controls,
            '"\\u0000\\u0001\\u0002\\u0003\\u0004\\u0005\\u0006\\u0007\\b\\t\\n\\u000b\\f\\r\\u000e\\u000f'
            "\\u0010\\u0011\\u0012\\u0013\\u0014\\u0015\\u0016\\u0017"
            '\\u0018\\u0019\\u001a\\u001b\\u001c\\u001d\\u001e\\u001f"',
        ),
        ("quotation mark and backslash", "are escaped", '"\\', '"\\"\\\\"'),
        ("a slash", "is not", "a/b", '"a/b"'),
        ("U+007F to U+009F", "stand as they are", "\x7f\x80\x9f", '"\x7f\x80\x9f"'),
        ("line separators", "stand as they are", "\u2028\u2029", '"\u2028\u2029"'),
        ("letters", "stand as they are", "Шайлоо өң ҚҰ", '"Шайлоо өң ҚҰ"'),
        ("a decomposed letter", "is not composed", "и\u0306", '"и\u0306"'),
        ("the last characters", "U+FFFF and U+10FFFF", "\uffff\U0010ffff", '"\uffff\U0010ffff"'),
        ("an escaped key", "", {"\n": 1, '"': 2}, '{"\\n":1,"\\"":2}'),
    )
    for name, why, value, canonical in cases:
        yield {"name": name, "why": why, "code": None, "value": value, "text": canonical}


def _bad() -> Iterator[dict[str, Json]]:
    for name, why, text in (
        ("nothing", "there is no value", ""),
        ("a space before it", "no white space", " 1"),
        ("a line feed behind it", "no white space", "{}\n"),
        ("a space in an object", "no white space", '{"a": 1}'),
        ("a space in an array", "no white space", "[1, 2]"),
        ("a byte order mark", "no white space", "\ufeff{}"),
        ("keys in another order", "sorted", '{"b":1,"a":2}'),
        ("keys in the order of UTF-8", "sorted as UTF-16", '{"\ufb33":1,"\U0001f600":2}'),
        ("a key twice", "once", '{"a":1,"a":1}'),
        ("true", "there are no booleans", "true"),
        ("false in an object", "there are no booleans", '{"a":false}'),
        ("a negative number", "from 0", "-1"),
        ("minus zero", "from 0", "-0"),
        ("a fraction", "whole numbers", "1.5"),
        ("a whole number with a point", "plain digits", "1.0"),
        ("an exponent", "plain digits", "1e3"),
        ("a leading zero", "plain digits", "01"),
        ("a plus", "plain digits", "+1"),
        ("2^53", "at most 2^53-1", "9007199254740992"),
        ("2^64", "at most 2^53-1", "18446744073709551616"),
        ("NaN", "no JSON", "NaN"),
        ("Infinity", "no JSON", "Infinity"),
        ("a letter escaped", "only where it must be", '"\\u0041"'),
        ("a slash escaped", "only where it must be", '"\\/"'),
        ("upper-case hex", "lower-case", '"\\u001F"'),
        ("a line feed in hex", "the short form", '"\\u000a"'),
        ("a surrogate pair escaped", "only where it must be", '"\\ud83d\\ude00"'),
        ("half a surrogate pair", "no character", '"\\ud800"'),
        ("U+007F escaped", "only where it must be", '"\\u007f"'),
        ("a control character", "must be escaped", '"\n"'),
        ("single quotes", "no JSON", "'a'"),
        ("a comma too many", "no JSON", "[1,]"),
        ("a key without quotation marks", "no JSON", "{a:1}"),
        ("an object that does not end", "no JSON", '{"a":1'),
        ("two values", "one", "1 2"),
        ("a comment", "no JSON", "1/**/"),
    ):
        yield {"name": name, "why": why, "code": "json.malformed", "text": text}
    for name, data in (
        ("a byte that never occurs", b'"\xff"'),
        ("half a surrogate pair in UTF-8", b'"\xed\xa0\x80"'),
        ("an overlong slash", b'"\xc0\xaf"'),
        ("a character cut short", b'"\xe2\x82"'),
    ):
        yield {"name": name, "why": "no UTF-8", "code": "json.malformed", "text_hex": data.hex()}


def document() -> bytes:
    """The file's bytes."""
    return render(
        {
            "about": "Canonical JSON (RFC 8785) of objects, arrays, strings, null and integers 0 to 2^53-1.",
            "cases": [*_good(), *_bad()],
        }
    )
