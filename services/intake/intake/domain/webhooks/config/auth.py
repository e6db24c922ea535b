"""How a tool proves who it is: the `auth` section of an integration in integrations.yaml. Pure.

Secrets are never in the file: it names environment variables and files. Where several are given each is valid, so that
one can be rotated without a gap.
"""

from collections.abc import Callable, Sequence
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator
from tocsin.yaml_document import Name, YamlModel, field_error

Variable = Annotated[str, Field(pattern=r"^[A-Z][A-Z0-9_]{0,99}$", examples=["TOCSIN_HOOK_CONNECTWISE"])]
HeaderName = Annotated[str, Field(pattern=r"^[A-Za-z0-9-]{1,100}$", examples=["X-Hub-Signature"])]


class SecretLocation(YamlModel):
    """Where one secret lies: in an environment variable, or in a file (its text without the newline at the end)."""

    secret_env: Variable | None = None
    secret_file: Annotated[str, Field(min_length=1, max_length=1000)] | None = None

    @model_validator(mode="after")
    def _one_place(self) -> Self:
        if (self.secret_env is None) == (self.secret_file is None):
            raise field_error((), None, "must say where one secret lies; write either secret_env or secret_file")
        return self


ReadSecret = Callable[[SecretLocation], bytes | None]
"""How a secret is fetched from where it lies; None: there is none, or an empty one."""


class Signature(YamlModel):
    """An HMAC over what is `signed`, in this order, in `header` after `prefix`.

    With a timestamp a signature is refused where the timestamp is further than `tolerance_seconds` from now. It is
    text like 2026-06-08T12:00:00Z, or seconds since 1970.
    """

    header: HeaderName
    algorithm: Literal["sha1", "sha256", "sha512"] = "sha256"
    encoding: Literal["base64", "hex"] = "hex"
    prefix: Annotated[str, Field(max_length=50)] = ""
    signed: Annotated[tuple[Literal["timestamp", "body"], ...], Field(min_length=1, max_length=5)] = ("body",)
    separator: Annotated[str, Field(max_length=10)] = ""
    timestamp_header: HeaderName | None = None
    tolerance_seconds: Annotated[int, Field(ge=1, le=86400)] = 300

    @model_validator(mode="after")
    def _signs_the_body(self) -> Self:
        if "body" not in self.signed:
            raise field_error(("signed",), None, "does not hold the body; write [body] or [timestamp, body]")
        if ("timestamp" in self.signed) != (self.timestamp_header is not None):
            message = "signs no timestamp; write signed: [timestamp, body]"
            if self.timestamp_header is None:
                message = "is missing; state the header whose timestamp is signed, for example X-Signature-Timestamp"
            raise field_error(("timestamp_header",), None, message)
        return self


class Auth(YamlModel):
    """How deliveries are told from forgeries.

    connectwise: `secrets` are signing keys; with `fetch_keys` they are fetched from the delivery's own `key_url`.
    autotask: `secrets` sign. halopsa: `user` and `secrets` are Basic, without a user the secrets are Bearer tokens.
    generic: one of `signature` (HMAC), `header` (which holds the secret itself), `user` (Basic) and `bearer`.
    """

    secrets: Annotated[
        tuple[SecretLocation, ...], Field(max_length=10, examples=['[{secret_env: "TOCSIN_HOOK_X"}]'])
    ] = ()
    fetch_keys: bool = False
    user: Name | None = None
    bearer: bool = False
    header: HeaderName | None = None
    signature: Signature | None = None

    def found(self, read: ReadSecret) -> Sequence[bytes]:
        """The secrets that are there."""
        return [secret for secret in map(read, self.secrets) if secret]


_SCHEMES = ("signature", "header", "user", "bearer")
_OWN = {"connectwise": ("fetch_keys",), "autotask": (), "halopsa": ("user",), "generic": _SCHEMES}


def problem_with(auth: Auth, adapter: str) -> tuple[str, str] | None:
    """What this adapter cannot do with the section: the field, and what is wrong with it."""
    known = _OWN[adapter]
    for name in ("fetch_keys", *_SCHEMES):
        if getattr(auth, name) and name not in known:
            return name, f"is not for the adapter {adapter}; leave it out"
    if adapter == "generic" and sum(bool(getattr(auth, name)) for name in _SCHEMES) != 1:
        return "signature", f"is not the one way to prove who sends; write one of {', '.join(_SCHEMES)}"
    if not auth.secrets and not auth.fetch_keys:
        return "secrets", 'is missing; state where the secret lies, for example secrets: [{secret_env: "TOCSIN_HOOK"}]'
    return None
