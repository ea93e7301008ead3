"""Who may reach a service that other machines can reach: CURVE, and the allow-list behind it.

CURVE alone proves the service to the client and admits any client; ZAP (RFC 27) asks back for each
key. This is that ZAP handler, run by the service's own I/O loop, together with libzmq's monitor:
whoever is turned away (unknown key, no encryption, forged or replayed frames) leaves one counted
log line and gets nothing. The allow-list is read at every greeting: new entries need no restart.
"""

import logging
from collections import Counter

import zmq
from zmq.utils.monitor import parse_monitor_message

from protocol.errors import ConfigError
from protocol.keys import Identity, allowed
from services.runtime.noting import worth_a_line

log = logging.getLogger("service")

ZAP_ENDPOINT = "inproc://zeromq.zap.01"
DOMAIN = b"glasshouse"
FAILURES = (
    zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL
    | zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL
    | zmq.EVENT_HANDSHAKE_FAILED_AUTH
)


class Guard:
    """Guards one ROUTER; to be made before it binds.

    Attributes:
        refused: how often somebody was turned away, by reason.
        sockets: to be polled; call `tend` when one is readable.
    """

    def __init__(
        self,
        context: "zmq.Context[zmq.Socket[bytes]]",
        router: "zmq.Socket[bytes]",
        identity: Identity,
    ) -> None:
        self.refused: Counter[str] = Counter()
        self._zap = context.socket(zmq.REP)
        self._zap.setsockopt(zmq.LINGER, 0)
        self._zap.bind(ZAP_ENDPOINT)
        router.setsockopt(zmq.ZAP_DOMAIN, DOMAIN)
        router.setsockopt(zmq.ZAP_ENFORCE_DOMAIN, 1)
        router.setsockopt(zmq.CURVE_SERVER, 1)
        router.setsockopt(zmq.CURVE_SECRETKEY, identity.secret)
        self._router = router
        self._monitor = router.get_monitor_socket(FAILURES)
        self.sockets = (self._zap, self._monitor)

    def tend(self) -> None:
        """Answer greetings and note failures, without waiting."""
        while self._zap.poll(0):
            self._greet(self._zap.recv_multipart())
        while self._monitor.poll(0):
            event = parse_monitor_message(self._monitor.recv_multipart())
            if event["event"] != zmq.EVENT_HANDSHAKE_FAILED_AUTH:  # the greeting has counted it
                self._count("no valid encryption")

    def close(self) -> None:
        """Let go of the sockets."""
        self._router.disable_monitor()
        self._monitor.close()
        self._zap.close()

    def _greet(self, frames: list[bytes]) -> None:
        version, request_id, domain, address, _identity, mechanism, *credentials = frames
        known = mechanism == b"CURVE" and domain == DOMAIN and len(credentials) == 1
        if known and credentials[0].hex() in self._allowed():
            status, user = (b"200", b"OK"), credentials[0].hex().encode()
        else:
            status, user = (b"400", b"unknown key"), b""
            self._count("unknown key", f" from {address.decode(errors='replace')}")
        self._zap.send_multipart([version, request_id, *status, user, b""])

    def _allowed(self) -> dict[str, str]:
        try:
            return allowed()
        except ConfigError as error:  # a list that others can write lets nobody in
            log.warning("nobody is let in: %s", error)
            return {}

    def _count(self, reason: str, details: str = "") -> None:
        self.refused[reason] += 1
        total = self.refused.total()
        if worth_a_line(total):
            log.warning("turned away connection %d: %s%s", total, reason, details)
