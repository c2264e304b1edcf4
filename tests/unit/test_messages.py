"""messages.json: a text for every code and word in every language, read strictly by both sides."""

import re
from pathlib import Path
from typing import get_args

import pytest

from clients.box import words
from clients.wire import grammar
from clients.wire.definition import LANGUAGES, STANDARD_FIGURES
from clients.wire.errors import WireError
from clients.wire.messages import FORMAT, Messages
from gateway import _core
from gateway.base.errors import TallygateError
from gateway.boxport.problems import KINDS
from gateway.election import build
from gateway.feed import messages
from gateway.feed.models import OutcomeWord, Paused, Progress, SourceWord, Standing, StatusWord
from gateway.feed.objects import State
from gateway.publish.tables import Tables
from gateway.site.names import JSON, LIVE, find_file

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "hill-country"
TEXTS = messages.load()


def rules_of_the_tally() -> set[str]:
    """Every rule that the Rust knows, the two of a country's own checks among them."""
    source = (ROOT / "rust_core/core/src/tally/codes.rs").read_text()
    letters = {"hard": "H", "soft": "S"}
    found = re.findall(r"Self::(hard|soft)\((\d{3})\)|letter: '([HS])', rule: (\d{3}), check \}", source)
    return {f"{letters.get(kind, letter)}{rule or check}" for kind, rule, letter, check in found}


def refusals_of_the_port() -> set[str]:
    table = (ROOT / "docs/box-port.md").read_text()
    return {
        code
        for row in re.findall(r"^\| (`[a-z].*?) \|", table, re.M)
        for code in re.findall(r"`([a-z]+\.[a-z_]+)`", row)
    }


def test_every_code_has_a_sentence() -> None:
    in_docs = set(re.findall(r"^\| ([HS]\d{3})", (ROOT / "docs/tally.md").read_text(), re.M))
    rules = rules_of_the_tally()
    assert in_docs == rules
    assert len(rules) == 24
    assert TEXTS.codes.keys() == rules | KINDS.keys()
    assert refusals_of_the_port() == KINDS.keys()


@pytest.mark.parametrize(
    ("group", "known"),
    [
        ("state", {*get_args(State), "silent"}),
        ("progress", set(Progress.__struct_fields__) - {*get_args(State), "silent"}),
        ("status", set(get_args(StatusWord))),
        ("source", set(get_args(SourceWord))),
        ("outcome", set(get_args(OutcomeWord))),
        ("threshold", {"open", "passed", "failed"}),
        ("quorum", {"open", "passed", "failed"}),
        ("paused", set(get_args(Paused.__annotations__["by"]))),
        ("report", set(grammar.REPORTS)),
        ("origin", set(words.ORIGINS)),
        ("cause", set(words.CAUSES)),
        ("document", set(words.DOCUMENTS)),
        ("action", {word for word, _ in words.ACTIONS.values()}),
        ("standing", set(get_args(Standing))),
        ("figure", set(STANDARD_FIGURES)),
    ],
)
def test_every_word_has_a_label(group: str, known: set[str]) -> None:
    assert TEXTS.words[group].keys() == known


def test_docs_name_every_group() -> None:
    section = (ROOT / "docs/feed.md").read_text().partition("## Messages\n")[2].partition("\n## ")[0]
    assert set(re.findall(r"^\| `([a-z]+)` \|", section, re.M)) == TEXTS.words.keys()


def test_texts_of_one_code_differ() -> None:
    """Nobody has copied a language's text into another, nor a code's to another."""
    for texts in TEXTS.codes.values():
        assert len(set(texts.values())) == len(LANGUAGES)
    for language in LANGUAGES:
        sentences = [texts[language] for texts in TEXTS.codes.values()]
        assert len(set(sentences)) == len(sentences)
        assert all(sentence.endswith(".") for sentence in sentences)
    assert all(texts["en"].isascii() and not texts["ru"].isascii() for texts in TEXTS.codes.values())


def entry(**changes: str) -> bytes:
    texts = {language: f'"{language} text"' for language in LANGUAGES} | changes
    line = ", ".join(f"{name} = {text}" for name, text in texts.items() if text)
    return f"[codes]\nH100 = {{{line}}}\n[words.state]\nheld = {{{line}}}\n".encode()


def test_reviewed_languages_are_named() -> None:
    read = messages.read(entry(reviewed='["ky", "en"]'))
    assert read.codes["H100"] == {language: f"{language} text" for language in LANGUAGES}


@pytest.mark.parametrize(
    ("data", "place"),
    [
        (entry(kk=""), "x:codes.H100"),
        (entry(de='"Zahl"'), "x:codes.H100"),
        (entry(kk='""'), "x:codes.H100.kk"),
        (entry(kk='" spaces "'), "x:codes.H100.kk"),
        (entry(kk='"two\\nlines"'), "x:codes.H100.kk"),
        (entry(kk=f'"{"a" * 301}"'), "x:codes.H100.kk"),
        (entry(kk="7"), "x:codes.H100.kk"),
        (entry(reviewed='["de"]'), "x:codes.H100"),
        (entry(reviewed='"ky"'), "x:codes.H100"),
        (b"[codes]\n", "x"),
        (b"[codes]\n[words]\n", "x:codes"),
        (b"codes = 1\n[words.state]\n", "x:codes"),
        (b"[codes", "x"),
        (b"\xff", "x"),
    ],
)
def test_a_source_that_is_not_whole_is_refused(data: bytes, place: str) -> None:
    with pytest.raises(TallygateError) as caught:
        messages.read(data, "x")
    assert (caught.value.code, caught.value.place) == ("messages.malformed", place)


@pytest.fixture(scope="module")
def example(tmp_path_factory: pytest.TempPathFactory) -> tuple[_core.Definition, _core.Information]:
    """An election with three checks and two figures of its own."""
    built = tmp_path_factory.mktemp("example") / "built"
    found, faults = build(EXAMPLE, built)
    assert found is not None, faults.kept()
    definition = _core.Definition.load(built / "definition")
    return definition, _core.Information.load(built / "information", definition)


@pytest.fixture
def published(example: tuple[_core.Definition, _core.Information]) -> bytes:
    return messages.encode(messages.for_election(TEXTS, *example))


def test_a_feed_gets_it_and_gets_it_again(
    example: tuple[_core.Definition, _core.Information], published: bytes, tmp_path: Path
) -> None:
    tables, file = Tables(tmp_path), tmp_path / "messages.json"
    tables.put_messages(*example)
    assert file.read_bytes() == published
    before = file.stat()
    tables.put_messages(*example)
    assert file.stat().st_ino == before.st_ino
    file.write_bytes(b"damaged")
    tables.put_messages(*example)
    assert file.read_bytes() == published
    named = find_file("/messages.json", rehearsal=False)
    assert named is not None
    assert (named.type, named.cache) == (JSON, LIVE)


def test_a_country_has_its_own_checks_and_figures(published: bytes) -> None:
    read = Messages.parse(published, "messages.json")
    general = TEXTS.codes["H109"]["ru"]
    assert read.sentence("H109.1", "ru") == (
        f"{general} (Полученные бюллетени равны выданным, испорченным, погашенным и утраченным)"
    )
    # The tables have no Kazakh text: the one of the election's first language stands for it.
    kazakh = read.sentence("H109.1", "kk")
    assert kazakh is not None
    assert kazakh.startswith(TEXTS.codes["H109"]["kk"] + " (Алынган бюллетендер")
    assert read.sentence("S214.2", "en") is not None
    assert read.sentence("H109.99", "ru") == general
    assert read.label("figure", "cut_corners", "kk") == "Бұрышы кесілген бюллетеньдер"
    assert read.label("figure", "in_box", "en") == "Ballots found in the boxes"
    assert read.sentence("X1", "en") is None
    assert read.label("figure", "nothing", "en") is None
    assert read.label("nothing", "held", "en") is None


def test_both_sides_mean_the_same(published: bytes) -> None:
    read = Messages.parse(published, "messages.json")
    assert all(
        read.sentence(code, language) == texts[language]
        for code, texts in TEXTS.codes.items()
        for language in LANGUAGES
    )
    assert messages.FORMAT == FORMAT
    assert len(published) < 100_000


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'{"codes"', b'{ "codes"'),
        (b"tallygate-messages/1", b"tallygate-messages/2"),
        (b'"words":', b'"wards":'),
        (b'"held":{', b'"held":{"de":"x",'),
        (b"No count yet", b""),
    ],
)
def test_a_damaged_file_is_refused(published: bytes, old: bytes, new: bytes) -> None:
    assert published.count(old) == 1
    with pytest.raises(WireError, match=r"messages\.malformed") as caught:
        Messages.parse(published.replace(old, new), "messages.json")
    assert caught.value.code == "messages.malformed"


@pytest.mark.parametrize(
    "data", [b"", b"[]", b"1", b"\xff", b'{"codes":1,"format":"tallygate-messages/1","words":{}}']
)
def test_what_is_no_file_is_refused(data: bytes) -> None:
    with pytest.raises(WireError):
        Messages.parse(data, "messages.json")
