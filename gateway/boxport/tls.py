"""The box port's certificate, key, CA and CRL, and their reload while connections are open.

What lives here: reading the four files of the night's ``pki/`` into one `_core.TlsConfig`. Everything is
built and checked before anything is swapped, and a list older than the one in force is not taken; a
connection keeps what it began with, and asks the newest list of revoked certificates at each request.
"""

from pathlib import Path
from typing import Final, Literal

import trio

from gateway import _core
from gateway.base.clock import SECOND, Clock
from gateway.base.errors import CoreError, TallygateError
from gateway.base.files import read_bounded, read_private
from gateway.base.logs import Log
from gateway.base.metrics import IngestMetrics

CERTIFICATE: Final = "server.pem"
KEY: Final = "server.key"
CA: Final = "ca.pem"
CRL: Final = "crl.pem"

# Bytes of a certificate chain or key in PEM: ours have two certificates of half a kibibyte.
MAX_PEM: Final = 65_536
# Bytes of a CRL: 40 bytes a revoked certificate, so some hundred thousand of them.
MAX_CRL: Final = 8_388_608


class BoxTls:
    """The configuration that new connections get.

    Args:
        pki: the folder.
        election: the definition's id, which client certificates name.
        crl_stale: what a CRL past its date means (docs/box-port.md).
        clock: the machine's, ms: certificates live in real time, also in a rehearsal.
        metrics: of the process.
        log: of the process.

    Attributes:
        config: what the next connection gets.
        clock: as given.

    Raises:
        TallygateError: ``tls.certificate``, ``tls.key``, ``tls.ca``, ``tls.crl``, ``tls.file``,
            ``file.not_private``, ``file.too_large``; the place is the file.
    """

    def __init__(
        self,
        pki: Path,
        *,
        election: str,
        crl_stale: Literal["keep", "refuse"],
        clock: Clock,
        metrics: IngestMetrics,
        log: Log,
    ) -> None:
        self._pki = pki
        self._election = election
        self._crl_stale: Final = crl_stale
        self.clock: Final = clock
        self._metrics = metrics
        self._log = log
        self.config = self._load()
        self._show()

    async def reload(self) -> bool:
        """Reads the files again.

        Returns:
            False: one of them is not good, or the CRL is older than the one in force. The configuration stays
            what it was, and the log says which file.
        """
        try:
            config = await trio.to_thread.run_sync(self._load)
            self._check_list(config)
        except TallygateError as error:
            self._metrics.reloads.labels("failed").inc()
            self._log("tls.reload_failed", code=error.code, words=error.detail, file=error.place)
            return False
        self.config = config
        self._metrics.reloads.labels("ok").inc()
        self._log("tls.reloaded")
        self._show()
        return True

    def _load(self) -> _core.TlsConfig:
        files = []
        for name, limit in ((CERTIFICATE, MAX_PEM), (KEY, MAX_PEM), (CA, MAX_PEM), (CRL, MAX_CRL)):
            path = self._pki / name
            try:
                files.append(read_private(path, limit) if name == KEY else read_bounded(path, limit))
            except OSError as error:
                raise TallygateError(
                    "tls.file", f"this file cannot be read: {error.strerror}", place=str(path)
                ) from None
        certificate, key, ca, crl = files
        try:
            return _core.TlsConfig(
                certificate=certificate,
                key=key,
                ca=ca,
                crl=crl,
                election=self._election,
                crl_stale=self._crl_stale,
                now=self.clock(),
            )
        except CoreError as error:
            place = str(self._pki / (error.file or ""))
            raise TallygateError(error.code, error.detail, place=place) from None

    def _check_list(self, config: _core.TlsConfig) -> None:
        """Raises where the list would let in whoever was revoked since, or would shut everybody out."""
        if config.ca == self.config.ca:
            number, in_force = (int.from_bytes(one.crl_number, "big") for one in (config, self.config))
            if number < in_force:
                raise TallygateError(
                    "tls.crl",
                    f"this revocation list (number {number}) is older than the one in force (number "
                    f"{in_force}): whoever was revoked since would be back; bring the newest one",
                    place=str(self._pki / CRL),
                )
        if self._crl_stale == "refuse" and self.clock() > config.crl_next_update:
            raise TallygateError(
                "tls.crl",
                'this revocation list is past its date, and crl_stale = "refuse" would let nobody in: make a '
                "new one with `tallygate pki crl`",
                place=str(self._pki / CRL),
            )

    def _show(self) -> None:
        expiry = self._metrics.certificate_expiry
        expiry.labels("server").set(self.config.certificate_not_after / SECOND)
        expiry.labels("ca").set(self.config.ca_not_after / SECOND)
        self._metrics.crl_next_update.set(self.config.crl_next_update / SECOND)
