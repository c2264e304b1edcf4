"""Kinds of command line values that several commands take."""

import click

from gateway.base.clock import parse_time
from gateway.base.errors import TallygateError
from gateway.pki.names import Holder, parse_holder


class TimeParameter(click.ParamType[int]):
    """An RFC 3339 date and time with its offset; ms since the Unix epoch."""

    name = "time"

    def convert(self, value: str | int, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Read the text; wrong usage if it is none."""
        if isinstance(value, int):
            return value
        try:
            return parse_time(value)
        except TallygateError as error:
            self.fail(error.detail, param, ctx)


class HolderParameter(click.ParamType[Holder]):
    """Whom a certificate names: a device's number, ``courier:N`` or ``commission:N``."""

    name = "holder"

    def convert(
        self, value: str | Holder, param: click.Parameter | None, ctx: click.Context | None
    ) -> Holder:
        """Read the text; wrong usage if it names nobody."""
        if isinstance(value, Holder):
            return value
        try:
            return parse_holder(value)
        except TallygateError as error:
            self.fail(error.detail, param, ctx)


TIME = TimeParameter()
HOLDER = HolderParameter()
