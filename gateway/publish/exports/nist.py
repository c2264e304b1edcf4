"""nist-cdf.json: the Election Results Reporting Common Data Format (NIST SP 1500-100, version 2), as JSON.

What lives here: `NistCdf`, a report of one election at the level of stations, with the sums of every area.
docs/exports.md says which of our words became which of theirs. Numbers are gathered while the stations go by,
and written choice by choice: the format wants it so, and a country's file has a hundred megabytes.
"""

from array import array
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from functools import cached_property
from typing import Final, TypeAlias
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec

from gateway import _core
from gateway.base.clock import to_datetime
from gateway.feed.exports import NIST
from gateway.feed.objects import Area, Row
from gateway.publish import sums
from gateway.publish.exports.names import names_in
from gateway.publish.exports.source import COUNTED, SOURCES, Contest, Seen, Source
from gateway.publish.exports.writing import Output

Json: TypeAlias = "str | int | bool | Sequence[Json] | Mapping[str, Json]"

_PREFIX: Final = "ElectionResults."
_IN_BOX: Final = 9
_INVALID: Final = 13
# What has not come in full yet; everything else is done with.
_STATUS: Final = {"silent": "not-processed", "partial": "in-process", "held": "in-process"}
_VARIATIONS: Final = {"plurality": "plurality", "majority": "majority"}
_OCD: Final = "ocd-division/"


class _Tallies:
    """The numbers of one contest in one source: for each unit its votes, one behind the other."""

    def __init__(self) -> None:
        self.units: list[str] = []
        self.votes = array("q")
        self.ballots: list[tuple[str, int, int | None]] = []

    def add(self, unit: str, votes: Sequence[int], figures: Mapping[int, int]) -> None:
        self.units.append(unit)
        self.votes.extend(votes)
        if _IN_BOX in figures:
            self.ballots.append((unit, figures[_IN_BOX], figures.get(_INVALID)))


class NistCdf:
    """Writes the file."""

    name = NIST

    def __init__(self, source: Source, output: Output) -> None:
        self._source = source
        self._output = output
        self._definition = definition = source.definition
        self._information = source.information
        self._languages = definition.languages
        self._headline = 1 if definition.headline == "machine" else 2
        self._tallies = {(contest, number): _Tallies() for contest in source.contests for number in SOURCES}
        self._areas: dict[int, Area[Row]] = {}
        self._done: Counter[int] = Counter()
        self._first = True
        output.text('{"@type":"ElectionResults.ElectionReport","GpUnit":[')

    def area(self, area: Area[Row]) -> None:
        """Takes the sums of an area; its stations come next."""
        self._areas[area.area] = msgspec.structs.replace(area, rows=())
        for contest in area.contests:
            for number, own in ((1, contest.machine), (2, contest.protocol)):
                if own.counted:
                    figures = {
                        code: total for code, total, stations in own.figures if stations == own.counted
                    }
                    self._tallies[contest.contest, number].add(f"area-{area.area}", own.votes, figures)

    def station(self, seen: Seen) -> None:
        """Takes the numbers of a station."""
        station, row = seen.station, seen.row
        unit = f"station-{station.number}"
        state = "cancelled"
        if not row.cancelled:
            state = sums.worst(row, sums.Electorate(station.registered, station.contests), self._headline)
            for count in row.counts:
                if count.state in COUNTED:
                    self._tallies[count.contest, count.source].add(unit, count.votes, dict(count.figures))
            if state not in _STATUS:
                at: _core.Area | None = seen.place.area
                while at is not None:
                    self._done[at.number] += 1
                    at = None if at.parent is None else self._source.places[at.parent].area
        self._unit(self._station_unit(station, unit, state))

    def finish(self) -> None:
        """Writes everything but the stations, which are there."""
        for area in self._areas.values():
            self._unit(self._area_unit(area))
        source, definition, latest = self._source, self._definition, self._source.latest
        rehearsal = definition.mode == "rehearsal"
        head: dict[str, Json] = {
            "Format": "precinct-level",
            # Their pattern has no fractions of a second.
            "GeneratedDate": f"{latest.published_at[:19]}Z",
            "IsTest": rehearsal,
            **({"TestType": "rehearsal"} if rehearsal else {}),
            "Issuer": latest.log.origin,
            "IssuerAbbreviation": definition.id,
            "Notes": self._notes(),
            "SequenceEnd": 1,
            "SequenceStart": 1,
            "Status": source.status(self._headline),
            "VendorApplicationId": f"Tallygate {latest.software.version}",
            "Party": list(self._parties()),
        }
        self._output.write(b"]," + _members(head) + b',"Election":[{')
        self._output.write(_members(self._election()) + b',"Contest":[')
        for place, contest in enumerate(source.contests.values()):
            self._output.text("," if place else "")
            self._contest(contest)
        self._output.text("]}]}\n")

    # --- Where ---

    def _unit(self, unit: dict[str, Json]) -> None:
        self._output.write((b"" if self._first else b",") + msgspec.json.encode(unit))
        self._first = False

    def _station_unit(self, station: _core.Station, unit: str, state: str) -> dict[str, Json]:
        shown = None if self._information is None else self._information.station(station.number)
        found: dict[str, Json] = {
            "@id": unit,
            "@type": f"{_PREFIX}ReportingUnit",
            "Type": "precinct",
            "Name": self._text(station.name or unit, shown),
            "Number": station.label or str(station.number),
        }
        if station.registered is not None:
            found["VotersRegistered"] = station.registered
        if state != "cancelled":
            found["CountStatus"] = [
                {
                    "@type": f"{_PREFIX}CountStatus",
                    "Status": _STATUS.get(state, "completed"),
                    "Type": "total",
                }
            ]
        return found

    def _area_unit(self, area: Area[Row]) -> dict[str, Json]:
        about = self._source.places[area.area].area
        shown = None if self._information is None else self._information.area(area.area)
        inside = [f"area-{number}" for number, _ in area.areas]
        if not area.areas:
            inside = [f"station-{station}" for station in self._stations_in.get(area.area, ())]
        found: dict[str, Json] = {
            "@id": f"area-{area.area}",
            "@type": f"{_PREFIX}ReportingUnit",
            "Type": "other",
            "OtherType": about.level,
            "Name": self._text(about.name or f"area {about.number}", shown),
            "SubUnitsReported": self._done[area.area],
            "TotalSubUnits": area.stations,
        }
        if inside:
            found["ComposingGpUnitIds"] = inside
        if about.label:
            found["Number"] = about.label
        if about.code:
            kind = "ocd-id" if about.code.startswith(_OCD) else "national-level"
            found["ExternalIdentifier"] = [
                {"@type": f"{_PREFIX}ExternalIdentifier", "Type": kind, "Value": about.code}
            ]
        if area.turnout.registered[1] == area.stations:
            found["VotersRegistered"] = area.turnout.registered[0]
        if area.stations and area.turnout.stations == area.stations:
            found["VotersParticipated"] = area.turnout.identified
        return found

    @cached_property
    def _stations_in(self) -> Mapping[int, Sequence[int]]:
        inside: dict[int, list[int]] = {}
        for station in self._source.stations.values():
            inside.setdefault(station.area, []).append(station.number)
        return inside

    # --- What ---

    def _election(self) -> dict[str, Json]:
        definition = self._definition
        found: dict[str, Json] = {
            "@type": f"{_PREFIX}Election",
            "ElectionScopeId": f"area-{self._scope}",
            "StartDate": self._date(definition.opens_at),
            "EndDate": self._date(definition.closes_at),
            "Name": _international(tuple(definition.title.items())),
            "Type": "other",
            "OtherType": "election",
            "Candidate": list(self._candidates()),
        }
        if len(self._source.contests) == 1:
            # Ballots are counted for each contest; their format has them for the election alone.
            found["BallotCounts"] = list(self._ballots(next(iter(self._source.contests))))
        return found

    @cached_property
    def _scope(self) -> int:
        return next(number for number, place in self._source.places.items() if place.area.parent is None)

    def _contest(self, contest: Contest) -> None:
        about = contest.contest
        kind = {"choose": "CandidateContest", "list": "PartyContest", "referendum": "BallotMeasureContest"}
        shown = None if self._information is None else self._information.contest(about.number)
        counted = stations = 0
        for own in self._areas[self._scope].contests:  # one that no station has is not among them
            if own.contest == about.number:
                counted = (own.machine if self._headline == 1 else own.protocol).counted
                stations = own.stations
        variation = "proportional"
        if about.method in _VARIATIONS:
            variation = "n-of-m" if about.marks > 1 else _VARIATIONS[about.method]
        found: dict[str, Json] = {
            "@id": f"contest-{about.number}",
            "@type": f"{_PREFIX}{kind[about.kind]}",
            "ElectionDistrictId": f"area-{about.area or self._scope}",
            "Name": about.name,
            "BallotTitle": self._text(about.name, shown),
            "SequenceOrder": about.number,
            "SubUnitsReported": counted,
            "TotalSubUnits": stations,
            "VoteVariation": variation,
        }
        if about.kind == "choose":
            found |= {"VotesAllowed": about.marks, "NumberElected": about.seats}
        if about.kind == "referendum":
            found["Type"] = "referendum"
        self._output.write(b"{" + _members(found) + b',"ContestSelection":[')
        for place, choice in enumerate(contest.choices):
            self._output.write((b",{" if place else b"{") + _members(self._selection(about.number, choice)))
            self._output.text(',"VoteCounts":[')
            self._output.text(",".join(self._counts(contest, place)))
            self._output.text("]}")
        self._output.text("]}")

    def _selection(self, contest: int, choice: _core.Choice) -> dict[str, Json]:
        key = f"{contest}-{choice.number}"
        found: dict[str, Json] = {"@id": f"selection-{key}", "SequenceOrder": choice.number}
        if choice.kind == "candidate":
            found |= {"@type": f"{_PREFIX}CandidateSelection", "CandidateIds": [f"candidate-{key}"]}
            if choice.list is not None:
                found["EndorsementPartyIds"] = [f"party-{contest}-{choice.list}"]
        elif choice.kind == "list":
            found |= {"@type": f"{_PREFIX}PartySelection", "PartyIds": [f"party-{key}"]}
        else:
            found |= {
                "@type": f"{_PREFIX}BallotMeasureSelection",
                "Selection": self._choice_text(contest, choice),
            }
        return found

    def _counts(self, contest: Contest, place: int) -> Iterator[str]:
        """The counts of a choice: of the headline's source as totals, the other's beside them."""
        number, width = contest.contest.number, len(contest.choices)
        for source, word in SOURCES.items():
            kind = '"total"' if source == self._headline else f'"other","OtherType":"{word}"'
            tallies = self._tallies[number, source]
            for unit, votes in zip(tallies.units, tallies.votes[place::width], strict=True):
                yield (f'{{"@type":"{_PREFIX}VoteCounts","Count":{votes},"GpUnitId":"{unit}","Type":{kind}}}')
        for result in self._source.latest.results:
            if (result.contest, result.source) == (number, self._headline):
                seats = result.choices[place].seats
                if seats is not None:
                    yield (
                        f'{{"@type":"{_PREFIX}VoteCounts","Count":{seats},'
                        f'"GpUnitId":"area-{contest.contest.area or self._scope}","Type":"seats"}}'
                    )

    def _ballots(self, contest: int) -> Iterator[dict[str, Json]]:
        for source, word in SOURCES.items():
            kind: dict[str, Json] = {"Type": "total"}
            if source != self._headline:
                kind = {"Type": "other", "OtherType": word}
            for unit, cast, rejected in self._tallies[contest, source].ballots:
                found: dict[str, Json] = {
                    "@type": f"{_PREFIX}BallotCounts",
                    "BallotsCast": cast,
                    "GpUnitId": unit,
                    **kind,
                }
                if rejected is not None:
                    found["BallotsRejected"] = rejected
                yield found

    # --- Who ---

    def _parties(self) -> Iterator[dict[str, Json]]:
        for number, contest in self._source.contests.items():
            for choice in contest.choices:
                if choice.kind == "list":
                    found: dict[str, Json] = {
                        "@id": f"party-{number}-{choice.number}",
                        "@type": f"{_PREFIX}Party",
                        "Name": self._choice_text(number, choice),
                    }
                    shown = (
                        None if self._information is None else self._information.choice(number, choice.number)
                    )
                    color = "" if shown is None else shown.get("color", "")
                    if color:
                        found["Color"] = color.removeprefix("#").lower()
                    yield found

    def _candidates(self) -> Iterator[dict[str, Json]]:
        for number, contest in self._source.contests.items():
            for choice in contest.choices:
                if choice.kind == "candidate":
                    found: dict[str, Json] = {
                        "@id": f"candidate-{number}-{choice.number}",
                        "@type": f"{_PREFIX}Candidate",
                        "BallotName": self._choice_text(number, choice),
                    }
                    if choice.list is not None:
                        found["PartyId"] = f"party-{number}-{choice.list}"
                    yield found

    def _choice_text(self, contest: int, choice: _core.Choice) -> dict[str, Json]:
        shown = None if self._information is None else self._information.choice(contest, choice.number)
        return self._text(choice.name, shown)

    def _text(self, own: str, shown: dict[str, str] | None) -> dict[str, Json]:
        return _international(tuple(names_in(self._languages, own, shown)))

    # --- When ---

    def _notes(self) -> str:
        latest = self._source.latest
        word = SOURCES[self._headline]
        return (
            f"Snapshot {latest.snapshot} of a public log with {latest.log.size} entries. Counts of the type "
            f"total are those of the source {word}; those of the other source are of the type other. Nothing "
            "here is an official result unless Status is certified or correction."
        )

    def _date(self, at: int) -> str:
        """The day on which it was so in the election's time zone."""
        moment = to_datetime(at)
        with suppress(ZoneInfoNotFoundError, ValueError):  # a machine without this zone
            moment = moment.astimezone(ZoneInfo(self._definition.timezone))
        return moment.strftime("%Y-%m-%d")


def _international(texts: Sequence[tuple[str, str]]) -> dict[str, Json]:
    return {
        "@type": f"{_PREFIX}InternationalizedText",
        "Text": [
            {"@type": f"{_PREFIX}LanguageString", "Content": content, "Language": language}
            for language, content in texts
        ],
    }


def _members(value: dict[str, Json]) -> bytes:
    """An object without its braces, so that more can stand in it."""
    return msgspec.json.encode(value)[1:-1]
