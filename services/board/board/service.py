"""Builds the board from its settings: the only place that constructs anything."""

from tocsin.runtime.http.api_keys import KeyRing
from tocsin.runtime.process.bootstrap import build_runtime
from tocsin.runtime.process.clock import TimeSource
from tocsin.runtime.process.service import Service

from board.api.access import LOGIN_BYTES, Access, TrustedProxies, add_access
from board.api.html import static_routes
from board.api.session import SessionSigner
from board.settings import Settings
from board.store.tables import DEAD_LETTERS, KEY_USES, OUTBOX


def build(settings: Settings, clock: TimeSource | None = None) -> Service:
    """The service; `clock` replaces the one of the settings."""
    runtime = build_runtime(
        settings, "board", outbox=OUTBOX, dead_letters=DEAD_LETTERS, key_uses=KEY_USES, clock=clock, consumers=4
    )
    app = runtime.create_app(
        "Open tickets, their deadlines, and reports.",
        [],
        [static_routes()],
        body_limits={"/login": LOGIN_BYTES, "/logout": LOGIN_BYTES},
        free_form=("/login", "/logout"),
    )
    add_access(app, _access(settings, runtime.keys))
    return Service(runtime=runtime, app=app)


def _access(settings: Settings, keys: KeyRing) -> Access:
    secret = settings.board_session_keys
    return Access(
        keys=keys,
        proxies=TrustedProxies(
            networks=settings.board_proxies,
            user_header=settings.board_user_header,
            groups_header=settings.board_groups_header,
            tenants=settings.board_tenants,
        ),
        sessions=SessionSigner(secret.get_secret_value().split(",")) if secret is not None else None,
    )
