"""`secret.*`: set, get, list, delete, rotate. What is in them is never logged: the operations are sensitive."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from storage import keyring as keys
from storage import secrets
from storage.operations.spec import AccessControl, Model, OperationContext, OperationSpec
from sync.calls.registry import Registry

READ = AccessControl(required_scopes=("secret:read",))
WRITE = AccessControl(required_scopes=("secret:write",))


class SetInput(Model):
    """A secret to keep."""

    name: str
    value: str
    description: str | None = None
    expires_at: datetime | None = None


class NameInput(Model):
    """Which secret."""

    name: str


class ValueOutput(Model):
    """The secret itself."""

    value: str


class NothingInput(Model):
    """Nothing is needed."""


class InfoOutput(Model):
    """A secret without its value."""

    name: str
    description: str | None
    key_version: int
    expires_at: str | None
    last_used_at: str | None
    updated_at: int


class ListOutput(Model):
    """All secrets, by name."""

    secrets: list[InfoOutput]


class NameOutput(Model):
    """What was set or deleted."""

    name: str


class RotateOutput(Model):
    """The new key's version, and how many secrets wait to be encrypted anew."""

    key_version: int
    waiting: int


def register(registry: Registry, key_file: Path) -> None:
    """Add the operations of this module; the keyring is read when one of them runs."""

    def set_secret(given: SetInput, context: OperationContext) -> NameOutput:
        ends = given.expires_at.astimezone(UTC).isoformat() if given.expires_at is not None else None
        ring = keys.open_keyring(key_file)
        secrets.set_secret(
            context.transaction, ring, given.name, given.value, description=given.description, expires_at=ends
        )
        return NameOutput(name=given.name)

    def get_secret(given: NameInput, context: OperationContext) -> ValueOutput:
        ring = keys.load_keyring(key_file)
        return ValueOutput(value=secrets.get_secret(context.transaction, ring, given.name, datetime.now(UTC)))

    def list_secrets(_: NothingInput, context: OperationContext) -> ListOutput:
        with context.database.snapshot() as snapshot:
            found = secrets.list_secrets(snapshot)
        return ListOutput(
            secrets=[
                InfoOutput(
                    name=info.name,
                    description=info.description,
                    key_version=info.key_version,
                    expires_at=info.expires_at,
                    last_used_at=info.last_used_at,
                    updated_at=info.updated_at,
                )
                for info in found
            ]
        )

    def delete_secret(given: NameInput, context: OperationContext) -> NameOutput:
        secrets.delete_secret(context.transaction, given.name)
        return NameOutput(name=given.name)

    def rotate(_: NothingInput, context: OperationContext) -> RotateOutput:
        ring = keys.open_keyring(key_file).rotated()
        keys.save_keyring(key_file, ring)  # on disk before anything is encrypted with it
        return RotateOutput(key_version=ring.current, waiting=secrets.start_rotation(context.transaction, ring.current))

    registry.register(
        OperationSpec(
            namespace="secret",
            name="set",
            type="mutation",
            description="Keep a secret, encrypted, in place of one of that name.",
            input_model=SetInput,
            output_model=NameOutput,
            access_control=WRITE,
            transactional=True,
            sensitive=True,
        ),
        set_secret,
    )
    registry.register(
        OperationSpec(
            namespace="secret",
            name="get",
            type="mutation",
            description="Show a secret; when it was used is noted.",
            input_model=NameInput,
            output_model=ValueOutput,
            access_control=READ,
            transactional=True,
            sensitive=True,
        ),
        get_secret,
    )
    registry.register(
        OperationSpec(
            namespace="secret",
            name="list",
            type="query",
            description="List secrets without their values.",
            input_model=NothingInput,
            output_model=ListOutput,
            access_control=READ,
        ),
        list_secrets,
    )
    registry.register(
        OperationSpec(
            namespace="secret",
            name="delete",
            type="mutation",
            description="Forget a secret.",
            input_model=NameInput,
            output_model=NameOutput,
            access_control=WRITE,
            transactional=True,
        ),
        delete_secret,
    )
    registry.register(
        OperationSpec(
            namespace="secret",
            name="rotate",
            type="mutation",
            description="Make a new key and encrypt every secret anew, in the background.",
            input_model=NothingInput,
            output_model=RotateOutput,
            access_control=WRITE,
            transactional=True,
        ),
        rotate,
    )
