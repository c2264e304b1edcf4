"""The role `web`: the public port of one night, over whatever `publish` has put into its feed.

What lives here: `run_web`. It needs no key and no ledger, and is ready without a snapshot: until there is one
its page says so.
"""

from functools import partial

import msgspec
import trio

from gateway import _core
from gateway.base.config import Config, parse_address
from gateway.base.errors import TallygateError
from gateway.base.metrics import WebMetrics
from gateway.run.folder import NightFolder
from gateway.run.operations import bound_endpoint
from gateway.run.role import RoleRun, Surroundings, run_role
from gateway.run.upkeep import raise_files_limit
from gateway.site.files import FeedFiles
from gateway.site.pages import SitePages
from gateway.site.server import WebServer


async def run_web(night: NightFolder, config: Config, around: Surroundings) -> None:
    """Runs the role until SIGTERM or SIGINT.

    Raises:
        TallygateError: ``web.bind``, ``role.running``, ``operations.bind``, or of the definition.
        ExceptionGroup: of these, or of a fault of the program.
        OSError: a file cannot be read.
    """
    metrics = WebMetrics(_core.__version__)
    work = partial(_work, night, config, around, metrics)
    await run_role("web", night, config.listen.operations_web, around, metrics, work)


async def _work(
    night: NightFolder, config: Config, around: Surroundings, metrics: WebMetrics, run: RoleRun
) -> None:
    rehearsal = await trio.to_thread.run_sync(_is_rehearsal, night)
    # Each that is answered has a file of the feed open.
    raise_files_limit(config.limits.web_connections, around.log, key="web_connections", each=2)
    files = FeedFiles(night.feed)
    pages = SitePages(night.feed, files, metrics=metrics, timer=around.timer)
    server = WebServer(
        files,
        pages,
        rehearsal=rehearsal,
        connections=config.limits.web_connections,
        metrics=metrics,
        log=around.log,
        clock=around.real,
    )
    listeners: list[trio.SocketListener] = []
    try:
        for address in config.listen.web:
            listeners += await _listen(address)
        addresses = tuple(str(bound_endpoint(listener)) for listener in listeners)
        ready = msgspec.structs.replace(run.ready_file(), web=addresses)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(server.serve, listeners, run.stop)
            await run.ready(ready, f"http://{addresses[0]}/", web=", ".join(addresses))
    finally:
        for listener in listeners:
            await trio.aclose_forcefully(listener)


async def _listen(address: str) -> list[trio.SocketListener]:
    endpoint = parse_address(address)
    try:
        return await trio.open_tcp_listeners(endpoint.port, host=endpoint.host)
    except OSError as error:
        raise TallygateError(
            "web.bind",
            f"the feed cannot be served here ({error.strerror or error}): another program has this address, "
            "or it is not this machine's; change [listen] web in tallygate.toml",
            place=str(endpoint),
        ) from None


def _is_rehearsal(night: NightFolder) -> bool:
    return _core.Definition.load(night.definition).mode == "rehearsal"
