"""Which pages there are, made when somebody asks and kept as long as the snapshot is the newest.

What lives here: `SitePages`. A page is made once a snapshot, whoever asks: the cache's key is the snapshot's
own hash, so nothing has to be thrown away in time.
"""

import hashlib
import re
import threading
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Final

from gateway.base.errors import TallygateError
from gateway.base.metrics import WebMetrics
from gateway.site.files import FeedFiles
from gateway.site.names import LIVE
from gateway.site.page import render, render_embargoed, render_nothing
from gateway.site.reading import Embargoed, FeedReader, View
from gateway.site.server import Page

_HTML: Final = "text/html; charset=utf-8"
_CSS: Final = "text/css; charset=utf-8"
# Bytes of the pages that are kept: a thousand of some 20 KiB; one of a crowded area has ten times as many.
MAX_KEPT: Final = 32 * 1024 * 1024
# Bytes of a page that is kept beside its own, also of an address without one.
_BESIDE: Final = 1_024
# A number as it stands in an address, below 2^53.
_AREA: Final = re.compile(r"/area/([1-9][0-9]{0,15})", re.ASCII)
# Times that a page is tried: an object may be pruned between the snapshot and itself.
_TRIES: Final = 3


class SitePages:
    """The pages of one feed. Safe to use from several threads; a page is made by one at a time.

    Args:
        root: the feed's folder.
        files: of that folder.
        metrics: of the role.
        timer: seconds from some start, never back.
    """

    def __init__(
        self, root: Path, files: FeedFiles, *, metrics: WebMetrics, timer: Callable[[], float]
    ) -> None:
        self._reader = FeedReader(root, files)
        self._metrics = metrics
        self._timer = timer
        self._lock = threading.Lock()
        # Guarded by the lock, as the reader is: pages by address, all of the snapshot with this hash.
        self._kept: OrderedDict[str, Page | None] = OrderedDict()
        self._kept_bytes = 0
        self._snapshot = b""
        self._style = Page.of(Path(__file__).with_name("style.css").read_bytes(), _CSS, LIVE)
        self._nothing = Page.of(render_nothing(), _HTML, LIVE)

    def find(self, path: str) -> Page | None:
        """The page at a decoded path; None: there is none.

        Raises:
            TallygateError: the feed cannot be read as one (`FeedReader.view`).
            OSError: a file cannot be read.
        """
        if path == "/style.css":
            return self._style
        area = _AREA.fullmatch(path)
        if path != "/" and area is None:
            return None
        number = None if area is None else int(area[1])
        with self._lock:
            for left in reversed(range(_TRIES)):
                latest = self._reader.latest()
                if latest is None:
                    return self._nothing if number is None else None
                try:
                    return self._page(latest, path, number)
                except TallygateError as error:
                    if error.code != "feed.missing" or not left:
                        raise
        return None

    def _page(self, latest: bytes, path: str, number: int | None) -> Page | None:
        snapshot = hashlib.sha256(latest).digest()
        if snapshot != self._snapshot:
            self._kept.clear()
            self._kept_bytes = 0
            self._snapshot = snapshot
        if path in self._kept:
            return self._kept[path]
        began = self._timer()
        view = self._reader.view(latest, number)
        page = None if view is None else Page.of(_render(view), _HTML, LIVE)
        self._metrics.render.observe(self._timer() - began)
        if view is not None:
            self._metrics.snapshot.set(view.latest.snapshot)
        self._kept[path] = page
        self._kept_bytes += _size(page)
        while self._kept_bytes > MAX_KEPT:
            _, oldest = self._kept.popitem(last=False)
            self._kept_bytes -= _size(oldest)
        return page


def _render(view: View | Embargoed) -> bytes:
    return render_embargoed(view) if isinstance(view, Embargoed) else render(view)


def _size(page: Page | None) -> int:
    return _BESIDE + (0 if page is None else len(page.content))
