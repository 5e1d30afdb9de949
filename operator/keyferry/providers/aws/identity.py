"""Who asks AWS, for a store and a namespace: access keys, a ServiceAccount's role, or the operator itself.

The result is a description with a fingerprint; `credentials.py` turns it into credentials.
"""

from __future__ import annotations

import hashlib
import logging
import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

import msgspec

from keyferry.api.meta import NamespacedReference, SecretKeySelector, ServiceAccountSelector
from keyferry.api.providers.aws import AWSAuth, AWSAuthSecretRef
from keyferry.api.providers.aws import AWSProvider as AWSBlock
from keyferry.core.stores import check_references, effective_namespace, is_referent
from keyferry.errors import AuthFailed, ForbiddenError, NotAvailableError, SpecError
from keyferry.ports import AmbientIdentity, ClusterAccess, ObjectKey, StoreView
from keyferry.providers.aws.sdk import SECRETS_MANAGER, SSM, STS, endpoint_of
from keyferry.secretdata import SecretBytes

log = logging.getLogger(__name__)

ROLE_ANNOTATION: Final = "eks.amazonaws.com/role-arn"
AUDIENCE_ANNOTATION: Final = "eks.amazonaws.com/audience"
DEFAULT_AUDIENCE: Final = "sts.amazonaws.com"
_OUR_TAGS: Final = frozenset({"esonamespace", "esostorename", "esostorekind"})
"""Session tags that say for whom a session was opened, as `_folded` writes them."""
_PATH: Final = "spec.provider.aws"
_SERVICES: Final = {"SecretsManager": SECRETS_MANAGER, "ParameterStore": SSM}
"""The SDK's names of those that are served."""
_REGION: Final = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
_ARN_ROLE: Final = re.compile(r"arn:aws[a-z-]*:iam::[0-9]{12}:role/[\w+=,.@/-]{1,512}")


@dataclass(frozen=True, slots=True)
class StaticKeys:
    """Access keys from Secrets."""

    access_key: str
    secret_key: SecretBytes = field(repr=False)
    token: SecretBytes | None = field(repr=False)


@dataclass(frozen=True, slots=True)
class WebIdentity:
    """A ServiceAccount that stands for a role."""

    namespace: str
    name: str
    uid: str
    role: str
    audiences: tuple[str, ...]

    @property
    def subject(self) -> str:
        """As trust policies name it."""
        return f"system:serviceaccount:{self.namespace}:{self.name}"


@dataclass(frozen=True, slots=True)
class Ambient:
    """The operator's own identity, by the SDK's default chain."""


@dataclass(frozen=True, slots=True)
class AwsIdentity:
    """Who asks, which service, and through which roles.

    Args:
        source: where the first credentials come from.
        roles: ARNs to assume one after the other.
        external_id, tags, transitive: of the last role's session.
    """

    region: str
    prefix: str
    source: StaticKeys | WebIdentity | Ambient
    roles: tuple[str, ...] = ()
    external_id: str = ""
    tags: tuple[tuple[str, str], ...] = ()
    transitive: tuple[str, ...] = ()
    service: str = SECRETS_MANAGER

    @property
    def account(self) -> str:
        """Whose quotas it uses, as far as can be told: an account's id, an access key's, or none."""
        match self.source:
            case StaticKeys(access_key) if not self.roles:
                return access_key
            case WebIdentity(role=role) if not self.roles:
                return role.split(":")[4]
        return self.roles[-1].split(":")[4] if self.roles else ""

    @property
    def share(self) -> str:
        """With whom it shares its turns where a quota is short: no tenant has more of them by making more stores."""
        match self.source:
            case StaticKeys(access_key):
                return f"key {access_key}"
            case WebIdentity(namespace):
                return f"namespace {namespace}"
        return f"roles {' '.join(self.roles)}"

    def fingerprint(self) -> str:
        """Hash over all that decides what may be read; the prefix too, because keys are shared by it."""
        source: tuple[object, ...]
        match self.source:
            case StaticKeys(access_key, secret_key, token):
                source = ("keys", access_key, secret_key.reveal(), token.reveal() if token else b"")
            case WebIdentity(namespace, name, uid, role, audiences):
                source = ("web", namespace, name, uid, role, audiences)
            case _:
                source = ("ambient",)
        parts = (
            "aws",
            self.service,
            self.region,
            self.prefix,
            endpoint_of(self.service),
            endpoint_of(STS),
            source,
            self.roles,
            self.external_id,
            self.tags,
            self.transitive,
        )
        return hashlib.sha256(msgspec.msgpack.encode(parts)).hexdigest()


def block_of(store: StoreView) -> AWSBlock:
    """The store's aws block.

    Raises:
        SpecError: it has none.
    """
    if not isinstance(store.block, AWSBlock):
        raise SpecError(f"{store.key} is no aws store")
    return store.block


def check(store: StoreView, ambient: AmbientIdentity) -> None:
    """Check the block without asking anybody.

    Raises:
        SpecError, NotAvailableError, ForbiddenError: see `ports.Provider.check`.
    """
    block = block_of(store)
    check_references(block, store.key.namespace, _PATH)
    if block.service not in _SERVICES:
        raise NotAvailableError(
            f"spec.provider.aws.service {block.service} is not available yet in this version of Keyferry"
        )
    check_region(block.region, _PATH)
    _check_auth(block.auth, _PATH)
    _check_roles((*block.additional_roles, block.role), _PATH)
    _check_tags(block, cluster_scoped=store.cluster_scoped)
    check_ambient(block.auth, ambient, cluster_scoped=store.cluster_scoped)


def check_login(auth: AWSAuth, region: str, role: str, path: str) -> None:
    """Check who asks and where, of an object that is no store.

    Args:
        path: of the object's spec, for errors.

    Raises:
        SpecError: a field is wrong; the message names it.
    """
    check_region(region, path)
    _check_auth(auth, path)
    _check_roles((role,), path)


def check_region(region: str, path: str) -> None:
    """Check that it reads like a region.

    Raises:
        SpecError: it does not.
    """
    if _REGION.fullmatch(region) is None:
        raise SpecError(f"{path}.region is not a region", hint='Set a region such as "eu-central-1"')


def check_ambient(
    auth: AWSAuth, ambient: AmbientIdentity, *, cluster_scoped: bool, what: str = "store", path: str = _PATH
) -> None:
    """Check that without an auth block the operator's own identity may be used.

    Raises:
        ForbiddenError: it may not.
    """
    if auth.secret_ref is None and auth.jwt is None and not ambient.allows(cluster_scoped=cluster_scoped):
        raise ForbiddenError(
            f"the {what} has no auth block, and --ambient-identity={ambient.value} does not let it use the "
            "operator's own identity",
            hint=f"Set {path}.auth.jwt.serviceAccountRef or auth.secretRef",
        )


def _check_auth(auth: AWSAuth, path: str) -> None:
    if auth.secret_ref is not None and auth.jwt is not None:
        raise SpecError(f"{path}.auth: only one of secretRef and jwt may be set")
    keys = auth.secret_ref
    if keys is not None:
        named = (
            ("accessKeyIDSecretRef", keys.access_key_id),
            ("secretAccessKeySecretRef", keys.secret_access_key),
        )
        for field_name, selector in named:
            if selector is None or not selector.name or not selector.key:
                raise SpecError(f"{path}.auth.secretRef.{field_name} must have a name and a key")
    if auth.jwt is not None and auth.jwt.service_account_ref is None:
        raise SpecError(f"{path}.auth.jwt.serviceAccountRef must be set")


def _check_roles(roles: Iterable[str], path: str) -> None:
    for role in roles:
        if role and _ARN_ROLE.fullmatch(role) is None:
            raise SpecError(f'{path}: "{role[:120]}" is not the ARN of an IAM role')


def _check_tags(block: AWSBlock, *, cluster_scoped: bool) -> None:
    """Check that nobody's own tags pose as those that say for whom a session was opened.

    AWS compares tag keys without regard to case, in requests and in policies.

    Raises:
        ForbiddenError: one does; the message names the field.
    """
    if cluster_scoped and block.session_tags_policy == "None":
        return  # whoever writes cluster stores may say for whom they are
    named = [("sessionTags", tag.key) for tag in block.session_tags]
    named += [("customSessionTags", key) for key in block.custom_session_tags]
    for field_name, key in named:
        if _folded(key) in _OUR_TAGS:
            raise ForbiddenError(
                f'spec.provider.aws.{field_name}: tag "{key[:128]}" is set by Keyferry alone',
                hint="Use another key, or sessionTagsPolicy Simple to have it set",
            )


def _folded(key: str) -> str:
    """A tag's key without what a comparison may ignore: width, long s, dotless i, accents, case.

    How AWS compares letters that are not ASCII it does not say, so the widest way counts.
    """
    plain = "".join(char for char in unicodedata.normalize("NFKD", key) if not unicodedata.combining(char))
    return plain.upper().casefold()


def depends_on_namespace(store: StoreView) -> bool:
    """Whether each ExternalSecret's namespace makes an identity of its own."""
    block = block_of(store)
    return is_referent(block.auth) or (bool(block.role) and block.session_tags_policy != "None")


def without_effect(block: AWSBlock) -> list[str]:
    """The fields of a session that are set where no session is opened: they belong to `role` alone.

    The established operator takes such a store and ignores them, so they are no error.
    """
    if block.role:
        return []
    fields = {
        "externalID": bool(block.external_id),
        "sessionTags": bool(block.session_tags),
        "transitiveTagKeys": bool(block.transitive_tag_keys),
        "sessionTagsPolicy": block.session_tags_policy != "None",
        "customSessionTags": bool(block.custom_session_tags),
    }
    return [name for name, is_set in fields.items() if is_set]


async def gather(store: StoreView, namespace: str, cluster: ClusterAccess) -> AwsIdentity:
    """The identity for a namespace, with its auth material read.

    Raises:
        KeyferryError: material is missing or refused.
    """
    block = block_of(store)
    if idle := without_effect(block):
        log.warning("%s: spec.provider.aws.%s has an effect only with role", store.key, " and ".join(idle))
    source = await find_source(block.auth, store.key, namespace, cluster)
    tags = {tag.key: tag.value for tag in block.session_tags}
    if block.session_tags_policy == "Custom":
        tags |= block.custom_session_tags
    if block.session_tags_policy != "None":
        # `check` has made sure that nobody's own tags pose as these.
        tags |= {
            "esoNamespace": namespace,
            "esoStoreName": store.key.name,
            "esoStoreKind": store.key.kind,
        }
    roles = (*block.additional_roles, *((block.role,) if block.role else ()))
    return AwsIdentity(
        region=block.region,
        prefix=block.prefix,
        source=source,
        roles=roles,
        external_id=block.external_id if block.role else "",
        tags=tuple(sorted(tags.items())) if block.role else (),
        transitive=tuple(block.transitive_tag_keys) if block.role and tags else (),
        service=_SERVICES[block.service],
    )


async def find_source(
    auth: AWSAuth, key: ObjectKey, namespace: str, cluster: ClusterAccess
) -> StaticKeys | WebIdentity | Ambient:
    """Where the first credentials come from, with what is to be read of the cluster.

    Args:
        auth: already checked.
        key: the object that holds it: a store or a generator.
        namespace: of the ExternalSecret.

    Raises:
        KeyferryError: material is missing or refused.
    """
    if auth.jwt is not None and auth.jwt.service_account_ref is not None:
        return await _web_identity(key, auth.jwt.service_account_ref, namespace, cluster)
    if auth.secret_ref is not None:
        return await _static_keys(key, auth.secret_ref, namespace, cluster)
    return Ambient()


def _where(key: ObjectKey, reference: NamespacedReference, namespace: str) -> str:
    found = effective_namespace(reference, key.namespace, namespace)
    if not found:
        raise ForbiddenError(
            f"{key} names an object without a namespace, which only an ExternalSecret can fill in"
        )
    return found


async def _static_keys(
    owner: ObjectKey, keys: AWSAuthSecretRef, namespace: str, cluster: ClusterAccess
) -> StaticKeys:
    if keys.access_key_id is None or keys.secret_access_key is None:
        raise SpecError(f"auth.secretRef of {owner} needs both keys")
    access_key = await _secret_value(owner, keys.access_key_id, namespace, cluster)
    secret_key = await _secret_value(owner, keys.secret_access_key, namespace, cluster)
    token = None
    if keys.session_token is not None and keys.session_token.name:
        token = await _secret_value(owner, keys.session_token, namespace, cluster)
    return StaticKeys(access_key.reveal().decode(), secret_key, token)


async def _secret_value(
    owner: ObjectKey, selector: SecretKeySelector, namespace: str, cluster: ClusterAccess
) -> SecretBytes:
    where = _where(owner, selector, namespace)
    secret = await cluster.read_secret(where, selector.name)
    value = secret.data.get(selector.key)
    if value is None:
        raise AuthFailed(
            f'Secret "{where}/{selector.name}" has no key "{selector.key}"',
            hint=f"Add it, or correct the {owner.kind}",
        )
    # A line break at the end is what `echo` leaves behind, never a part of a key.
    stripped = value.reveal().strip()
    if not stripped or not stripped.isascii() or not stripped.decode().isprintable():
        raise AuthFailed(
            f'key "{selector.key}" of Secret "{where}/{selector.name}" is not what AWS gives as credentials',
            hint="Write it as AWS shows it, without quotes or base64 of your own",
        )
    return SecretBytes(stripped)


async def _web_identity(
    owner: ObjectKey, reference: ServiceAccountSelector, namespace: str, cluster: ClusterAccess
) -> WebIdentity:
    where = _where(owner, reference, namespace)
    account = await cluster.read_service_account(where, reference.name)
    role = account.annotations.get(ROLE_ANNOTATION, "")
    if not role:
        raise AuthFailed(
            f"an IAM role must be associated with service account {reference.name} (namespace: {where})",
            hint=f"Annotate it with {ROLE_ANNOTATION}",
        )
    if _ARN_ROLE.fullmatch(role) is None:
        raise AuthFailed(
            f'annotation {ROLE_ANNOTATION} of ServiceAccount "{where}/{reference.name}" is no role ARN'
        )
    audience = account.annotations.get(AUDIENCE_ANNOTATION) or DEFAULT_AUDIENCE
    return WebIdentity(where, reference.name, account.uid, role, (audience, *reference.audiences))
