"""A small election folder that is right, to be made wrong one cell at a time."""

from collections.abc import Mapping
from pathlib import Path

from gateway import _core
from gateway.election import Election, Fault, Faults, read_folder


def key(number: int) -> bytes:
    """The public key of one of our devices or members."""
    return _core.public_key(number.to_bytes(32, "big"))


TOML = f"""id = "test-1"
title_en = "Test"
mode = "live"
timezone = "Asia/Bishkek"
opens_at = "2031-10-05T08:00:00+06:00"
closes_at = 2031-10-05T20:00:00+06:00
commission_keys = [
    "{key(901).hex()}",
    "{key(902).hex()}",
]
"""

FILES = {
    "election.toml": TOML,
    "areas.csv": "area,parent,level,name_en\n1,,country,Country\n2,1,region,North\n3,1,region,South\n",
    "contests.csv": "contest,kind,name_en\n1,choose,President\n",
    "choices.csv": "contest,choice,name_en\n1,1,Alpha\n1,2,Beta\n",
    "stations.csv": "station,area,registered,name_en\n11,2,100,One\n12,3,200,Two\n",
    "devices.csv": f"device,kind,station,key\n1,box,11,{key(1).hex()}\n2,box,12,{key(2).hex()}\n",
}

PNG = b"\x89PNG\r\n\x1a\n" + bytes(8)


def write(folder: Path, changes: Mapping[str, str | bytes | None] | None = None) -> Path:
    """Write the folder with some files replaced, or, where None, left out."""
    for name, content in {**FILES, **(changes or {})}.items():
        if content is not None:
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content.encode() if isinstance(content, str) else content)
    return folder


def read(folder: Path, changes: Mapping[str, str | bytes | None] | None = None) -> Election:
    """Read a folder that must have no fault."""
    election, faults = read_folder(write(folder, changes))
    assert election is not None, "\n".join(map(str, faults.kept()))
    return election


def places(faults: Faults) -> list[str]:
    """Faults and warnings as ``file:line:column code``."""
    return [place(fault) for fault in faults.kept()]


def place(fault: Fault) -> str:
    """One of them."""
    return f"{fault.file}:{fault.line}:{fault.column} {fault.code.removeprefix('definition.')}"
