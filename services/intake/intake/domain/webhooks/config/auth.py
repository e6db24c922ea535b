"""How the deliveries of a tool are authenticated: the `auth` section of integrations.yaml. Pure.

The file contains no secrets, only the names of environment variables and files. Several secrets may be valid at once,
so that one can be rotated without a gap.
"""

from collections.abc import Sequence
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator
from tocsin.yaml_document import Name, ReadSecret, SecretLocation, YamlModel, field_error

HeaderName = Annotated[str, Field(pattern=r"^[A-Za-z0-9-]{1,100}$", examples=["X-Hub-Signature"])]


class Signature(YamlModel):
    """An HMAC in `header`, after `prefix`, over the parts that `signed` lists, in that order.

    A signed timestamp (2026-06-08T12:00:00Z, or seconds since 1970) must be within `tolerance_seconds` of now.
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
            raise field_error(("signed",), None, "must contain the body; write [body] or [timestamp, body]")
        if ("timestamp" in self.signed) != (self.timestamp_header is not None):
            message = "is not signed; write signed: [timestamp, body]"
            if self.timestamp_header is None:
                message = "is missing; name the header of the signed timestamp, for example X-Signature-Timestamp"
            raise field_error(("timestamp_header",), None, message)
        return self


class Auth(YamlModel):
    """How deliveries are authenticated.

    connectwise: `secrets` are signing keys; with `fetch_keys`, the key is fetched from the delivery's own `key_url`.
    autotask: `secrets` are signing keys. halopsa and mail: with `user` the secrets are Basic passwords, without it
    Bearer tokens. generic: one of `signature` (HMAC), `header` (the secret itself), `user` (Basic) and `bearer`.
    """

    secrets: Annotated[
        tuple[SecretLocation, ...], Field(max_length=10, examples=['[{secret_env: "TOCSIN_HOOK_X"}]'])
    ] = ()
    fetch_keys: bool = False
    user: Name | None = None
    bearer: bool = False
    header: HeaderName | None = None
    signature: Signature | None = None

    def read_secrets(self, read: ReadSecret) -> Sequence[bytes]:
        """The secrets that exist."""
        return [secret for secret in map(read, self.secrets) if secret]


_SCHEMES = ("signature", "header", "user", "bearer")
_METHODS = {
    "connectwise": ("fetch_keys",),
    "autotask": (),
    "halopsa": ("user",),
    "generic": _SCHEMES,
    "mail": ("user",),
}


def problem_with(auth: Auth, adapter: str) -> tuple[str, str] | None:
    """The field of the section that this adapter, or `mail`, does not support, and what is wrong with it."""
    known = _METHODS[adapter]
    for name in ("fetch_keys", *_SCHEMES):
        if getattr(auth, name) and name not in known:
            subject = "mail" if adapter == "mail" else f"the adapter {adapter}"
            return name, f"is not supported by {subject}; remove it"
    if adapter == "generic" and sum(bool(getattr(auth, name)) for name in _SCHEMES) != 1:
        return "signature", f"must be the only method; write exactly one of {', '.join(_SCHEMES)}"
    if not auth.secrets and not auth.fetch_keys:
        return "secrets", 'is missing; name the secret, for example secrets: [{secret_env: "TOCSIN_HOOK"}]'
    return None
