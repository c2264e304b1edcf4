"""`tallygate election` as an official runs it: what it says, what it writes, what it exits with."""

import json
import os
import subprocess
import sys
from pathlib import Path

import click
import pytest

from gateway.cli.shared import FAILED, LazyGroup, run
from gateway.election.limits import MAX_FAULTS_A_FILE, MAX_FAULTS_SHOWN
from tests.unit.election_folder import FILES, write

EXAMPLE = Path(__file__).parents[2] / "examples" / "hill-country"
PROGRAM = [sys.executable, "-c", "from gateway.cli import main; main()"]


def tallygate(*arguments: object, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*PROGRAM, *map(str, arguments)], capture_output=True, text=True, cwd=cwd, check=False, timeout=60
    )


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("example") / "built"
    done = tallygate("election", "build", EXAMPLE, "--out", out)
    assert done.returncode == 0, done.stdout + done.stderr
    return out


def test_build_names_the_hashes_and_the_warnings(tmp_path: Path) -> None:
    out = tmp_path / "built"
    done = tallygate("election", "build", EXAMPLE, "--out", out)
    assert (done.returncode, done.stderr) == (0, "")
    warning, *_ = lines = done.stdout.splitlines()
    assert warning == (
        "warning: devices.csv: there is no such table: the roster holds no device [definition.no_devices]"
    )
    assert lines[-5] == f"built        {out}"
    assert {line.split()[0]: len(line.split()[1]) for line in lines[-4:-1]} == {
        "definition": 64,
        "roster": 64,
        "information": 64,
    }
    assert sorted(path.name for path in out.iterdir()) == ["definition", "information", "roster"]
    again = tallygate("election", "build", EXAMPLE, "--out", out)
    assert (again.returncode, again.stdout) == (0, done.stdout)


def test_build_speaks_json(tmp_path: Path) -> None:
    done = tallygate("election", "build", EXAMPLE, "--out", tmp_path / "built", "--json")
    warnings, outcome = (
        [json.loads(line) for line in done.stdout.splitlines()][:-1],
        done.stdout.splitlines()[-1],
    )
    assert {warning["severity"] for warning in warnings} == {"warning"}
    found = json.loads(outcome)
    assert (found["faults"], found["warnings"], found["shown"]) == (0, len(warnings), len(warnings))
    assert found["built"] == str(tmp_path / "built")
    assert len(found["definition"]) == len(found["roster"]) == len(found["information"]) == 64


WRONG: dict[str, str | bytes | None] = {
    "stations.csv": "station,area,registered,name_en\n11,2,12o4,One\n12,7,200,Two\n",
    "areas.csv": FILES["areas.csv"].replace("region", "Region", 1),
}


def test_all_faults_are_listed_and_nothing_is_built(tmp_path: Path) -> None:
    folder = write(tmp_path / "in", WRONG)
    done = tallygate("election", "build", folder, "--out", tmp_path / "out")
    assert done.returncode == 1
    assert done.stdout.splitlines() == [
        'areas.csv:3: level: "Region" is no level: use a to z, 0 to 9, - and _, a letter first '
        "(region, district) [definition.bad_name]",
        "warning: areas.csv:4: area: area 3 holds neither areas nor stations [definition.empty_area]",
        'stations.csv:2: registered: "12o4" is not a whole number [definition.not_a_number]',
        'stations.csv:3: area: there is no area "7" [definition.unknown_area]',
    ]
    assert done.stderr == "error: 3 faults, 1 warning: nothing was built\n"
    assert not (tmp_path / "out").exists()


def test_check_says_whether_it_can_be_built(tmp_path: Path) -> None:
    good = tallygate("election", "check", EXAMPLE)
    assert (good.returncode, good.stderr) == (0, "")
    assert good.stdout.splitlines()[-1] == "0 faults, 2 warnings: it can be built"
    bad = tallygate("election", "check", write(tmp_path, WRONG), "--json")
    assert bad.returncode == 1
    assert bad.stderr == ""
    *faults, outcome = [json.loads(line) for line in bad.stdout.splitlines()]
    assert faults[-1] == {
        "severity": "fault",
        "file": "stations.csv",
        "line": 3,
        "column": "area",
        "code": "definition.unknown_area",
        "detail": 'there is no area "7"',
    }
    assert outcome == {"faults": 3, "warnings": 1, "shown": 4}


def test_the_list_is_cut_and_the_total_is_said(tmp_path: Path) -> None:
    rows = "".join(f"{number},2,x,N\n" for number in range(1, 1500))
    stations = "station,area,registered,name_en\n" + rows
    folder = write(tmp_path, {"stations.csv": stations, "devices.csv": None})
    done = tallygate("election", "check", folder)
    assert len(done.stdout.splitlines()) == MAX_FAULTS_SHOWN
    hidden = 1499 + 3 - MAX_FAULTS_SHOWN
    assert (
        done.stderr == f"error: 1499 faults, 3 warnings ({hidden} more are not listed): repair these first\n"
    )
    as_json = tallygate("election", "check", folder, "--json")
    assert len(as_json.stdout.splitlines()) == MAX_FAULTS_A_FILE + 3 + 1


def test_show_reads_a_folder_and_what_was_built_alike(built: Path) -> None:
    of_built = tallygate("election", "show", built)
    of_folder = tallygate("election", "show", EXAMPLE)
    assert (of_built.returncode, of_folder.returncode) == (0, 0)
    shown = of_built.stdout.splitlines()
    assert shown[:-4] == of_folder.stdout.splitlines()
    assert [line.split()[0] for line in shown[-3:]] == ["definition", "roster", "information"]
    assert "opens         2031-10-05 08:00:00+06:00, Asia/Bishkek" in shown
    assert "areas         1 country, 4 region, 8 district" in shown
    assert "stations      41 (2 abroad, 1 mobile, 37 ordinary, 1 special)" in shown
    assert "registered    52007 (1 station not known)" in shown
    assert "   101 [1.1] Үлгү Биринчиева (candidate, list 1)" in shown


def test_show_speaks_json(built: Path) -> None:
    done = json.loads(tallygate("election", "show", built, "--json").stdout)
    assert done["id"] == "hill-country-2031"
    assert done["levels"] == {"country": 1, "region": 4, "district": 8}
    assert [contest["stations"] for contest in done["contests"]] == [41, 11, 41]
    assert len(done["hashes"]["definition"]) == 64


def test_show_lists_the_faults_of_a_wrong_folder(tmp_path: Path) -> None:
    done = tallygate("election", "show", write(tmp_path, WRONG))
    assert done.returncode == 1
    assert done.stderr.startswith("error: 3 faults")


def test_show_refuses_a_table_that_was_changed_by_name(built: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    for path in built.rglob("*"):
        if path.is_file():
            target = copy / path.relative_to(built)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(path.read_bytes())
    table = copy / "definition" / "stations.csv"
    table.write_bytes(table.read_bytes().replace(b",ordinary,", b",special ,", 1))
    done = tallygate("election", "show", copy)
    assert done.returncode == 1
    assert done.stderr.startswith("error: stations.csv: ")
    assert done.stderr.endswith("[table.changed]\n")


def test_numbers_are_given_when_asked_for(tmp_path: Path) -> None:
    folder = write(
        tmp_path / "in",
        {"stations.csv": "station,area,box,name_en\nS-2,2,no,One\nS-10,3,no,Two\n", "devices.csv": None},
    )
    assert tallygate("election", "check", folder).returncode == 1
    assert tallygate("election", "check", folder, "--number").returncode == 0
    assert tallygate("election", "show", folder, "--number").returncode == 0
    done = tallygate("election", "build", folder, "--out", tmp_path / "out", "--number")
    assert done.returncode == 0
    assert (tmp_path / "out" / "numbers.csv").read_text().splitlines() == [
        "table,contest,number,label",
        "stations,,1,S-2",
        "stations,,2,S-10",
    ]


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["election", "build", "x"], 2),
        (["election", "check"], 2),
        (["election", "check", "x", "--jason"], 2),
        (["election", "frobnicate"], 2),
        (["frobnicate"], 2),
        (["election", "check", "no-such-folder"], 1),
        (["election", "show", "no-such-folder"], 1),
    ],
)
def test_exit_codes(arguments: list[str], code: int, tmp_path: Path) -> None:
    done = tallygate(*arguments, cwd=tmp_path)
    assert done.returncode == code
    assert done.stderr
    assert "Traceback" not in done.stderr


def test_what_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    done = tallygate("election", "build", EXAMPLE, "--out", tmp_path / "file" / "out")
    assert done.returncode == 1
    assert done.stderr.startswith(f"error: {tmp_path / 'file'}")
    assert "Traceback" not in done.stderr
    taken = tallygate("election", "build", EXAMPLE, "--out", tmp_path)
    assert taken.returncode == 1
    assert taken.stderr.endswith("[definition.output_exists]\n")


@pytest.mark.parametrize("command", ["build", "check", "show"])
def test_help_has_an_example(command: str) -> None:
    done = tallygate("election", command, "--help")
    assert done.returncode == 0
    assert f"Example: tallygate election {command} " in " ".join(done.stdout.split())


def test_a_reader_that_goes_away_is_no_traceback() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with subprocess.Popen(
        [*PROGRAM, "election", "show", str(EXAMPLE)], stdout=writer, stderr=subprocess.PIPE, text=True
    ) as process:
        os.close(writer)
        _, errors = process.communicate(timeout=60)
    assert (process.returncode, errors) == (FAILED, "")


def test_a_terminal_without_cyrillic_is_no_traceback() -> None:
    done = subprocess.run(
        [*PROGRAM, "election", "show", str(EXAMPLE)],
        capture_output=True,
        check=False,
        env={**os.environ, "PYTHONIOENCODING": "latin-1"},
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert rb"\u0434" in done.stdout


def test_a_path_that_is_no_text_is_no_traceback(tmp_path: Path) -> None:
    out = os.fsencode(tmp_path) + b"/\xff"
    program = [*PROGRAM, "election", "build", str(EXAMPLE), "--json", "--out"]
    arguments = [os.fsencode(part) for part in program]
    done = subprocess.run([*arguments, out], capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, b"")
    assert json.loads(done.stdout.splitlines()[-1])["built"].startswith(str(tmp_path))


def test_ctrl_c_ends_with_130(capsys: pytest.CaptureFixture[str]) -> None:
    @click.command()
    def interrupted() -> None:
        raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["interrupted"])
        assert run(interrupted) == FAILED
    assert capsys.readouterr().err.strip() == "error: stopped"


def test_a_command_is_imported_only_when_it_is_asked_for() -> None:
    group = LazyGroup("g", {"a": "no.such.module:a", "n": "json:dumps"}, help="h")
    context = click.Context(group)
    assert group.list_commands(context) == ["a", "n"]
    assert group.get_command(context, "unknown") is None
    with pytest.raises(ModuleNotFoundError):
        group.get_command(context, "a")
    with pytest.raises(TypeError, match="is no command"):
        group.get_command(context, "n")
