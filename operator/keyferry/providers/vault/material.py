"""From a vault block to who asks: auth material read from the cluster."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from keyferry.api.meta import NamespacedReference, SecretKeySelector, ServiceAccountSelector
from keyferry.api.providers.aws import AWSAuth, AWSAuthSecretRef, AWSJWTAuth
from keyferry.api.providers.vault import (
    VaultAuth,
    VaultClientTLS,
    VaultGCPAuth,
    VaultIamAuth,
    VaultJwtAuth,
    VaultKubernetesAuth,
)
from keyferry.api.providers.vault import VaultProvider as VaultBlock
from keyferry.core.stores import effective_namespace
from keyferry.errors import AuthFailed, ForbiddenError, NotAvailableError, SpecError
from keyferry.ports import ClusterAccess, ServiceAccountObject
from keyferry.providers.trust import Trust
from keyferry.providers.vault.checks import Place, Rules, method_of
from keyferry.providers.vault.identity import (
    DEFAULT_AUDIENCE,
    TOKEN_LIFETIME_S,
    AccountToken,
    AppRole,
    AwsIam,
    Certificate,
    ClientCertificate,
    Google,
    GoogleInstance,
    GoogleKey,
    GoogleWorkload,
    Jwt,
    Login,
    Nobody,
    Password,
    StaticToken,
    VaultIdentity,
)
from keyferry.providers.vault.lent import AwsLogins
from keyferry.secretdata import SecretBytes

GOOGLE_ANNOTATION: Final = "iam.gke.io/gcp-service-account"
DEFAULT_REGION: Final = "us-east-1"
_KUBERNETES_KEY: Final = "token"
_EMAIL: Final = re.compile(r"[a-z0-9.-]{1,128}@[a-z0-9.-]{1,128}\.gserviceaccount\.com")
_REGION: Final = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
_PROJECT: Final = re.compile(r"[a-z0-9:.-]{1,64}")


@dataclass(frozen=True, slots=True)
class Gathering:
    """Reads the auth material of one block for one namespace.

    Args:
        place: where the block stands.
        namespace: of the ExternalSecret.
        cluster: what may be read.
        rules: what the flags say.
        aws: lends AWS identities; None where nobody does.
        product: how errors name the server.
    """

    place: Place
    namespace: str
    cluster: ClusterAccess
    rules: Rules
    aws: AwsLogins | None
    product: str

    async def identity(self, block: VaultBlock) -> VaultIdentity:
        """Who asks.

        Raises:
            KeyferryError: material is missing or refused.
        """
        auth = block.auth
        namespace = (block.namespace or "").strip("/")
        login_namespace = namespace
        if auth is not None and auth.namespace is not None:
            login_namespace = auth.namespace.strip("/")
        return VaultIdentity(
            product=self.product,
            server=self.rules.address(block, self.place),
            ca=await Trust(block.ca_bundle, block.ca_provider, self.place.path).read(
                self.place.owner.namespace, self.namespace, self.cluster
            ),
            certificate=await self._certificate(block),
            namespace=namespace,
            login_namespace=login_namespace,
            headers=tuple(sorted(block.headers.items())),
            consistent=block.read_your_writes,
            forward=block.read_your_writes and block.forward_inconsistent,
            login=await self._login(block, auth) if auth is not None else Nobody(),
            path=self.place.path,
        )

    async def _certificate(self, block: VaultBlock) -> ClientCertificate | None:
        auth = block.auth
        if auth is not None and method_of(auth) == "cert" and auth.cert is not None:
            shown = VaultClientTLS(cert_secret_ref=auth.cert.client_cert, key_secret_ref=auth.cert.secret_ref)
        else:
            shown = block.tls
        if shown.cert_secret_ref is None or shown.key_secret_ref is None:
            return None
        certificate = await self._secret(shown.cert_secret_ref, "tls.crt")
        return ClientCertificate(certificate.reveal(), await self._secret(shown.key_secret_ref, "tls.key"))

    async def _login(self, block: VaultBlock, auth: VaultAuth) -> Login:
        match method_of(auth):
            case "app_role" if (app := auth.app_role) is not None:
                role_id = SecretBytes(app.role_id) if app.role_id else await self._secret(app.role_ref)
                return AppRole(_mount(app.path), role_id, await self._secret(app.secret_ref))
            case "kubernetes" if auth.kubernetes is not None:
                return await self._kubernetes(block, auth.kubernetes)
            case "ldap" if (ldap := auth.ldap) is not None:
                return Password("ldap", _mount(ldap.path), ldap.username, await self._secret(ldap.secret_ref))
            case "user_pass" if (user := auth.user_pass) is not None:
                password = await self._secret(user.secret_ref)
                return Password("userpass", _mount(user.path), user.username, password)
            case "jwt" if auth.jwt is not None:
                return await self._jwt(block, auth.jwt)
            case "cert" if auth.cert is not None:
                return Certificate(_mount(auth.cert.path), auth.cert.vault_role)
            case "iam" if auth.iam is not None:
                return await self._iam(auth.iam)
            case "gcp" if auth.gcp is not None:
                return await self._google(auth.gcp)
        return StaticToken(await self._secret(auth.token_secret_ref))

    # -- Kubernetes tokens

    async def _kubernetes(self, block: VaultBlock, auth: VaultKubernetesAuth) -> Login:
        mount = _mount(auth.mount_path)
        trusted = self.rules.trusted.includes(block.server)
        if auth.service_account_ref is not None:
            named = auth.service_account_ref.audiences
            audiences = named or (() if trusted else (DEFAULT_AUDIENCE,))
            account = await self._account(auth.service_account_ref)
            return AccountToken(
                "kubernetes",
                mount,
                auth.role,
                *account,
                audiences,
                api_server=trusted,
                defaulted=not named and not trusted,
            )
        if auth.secret_ref is not None:
            return Jwt("kubernetes", mount, auth.role, await self._secret(auth.secret_ref, _KUBERNETES_KEY))
        own = await self.cluster.own_account()
        # A store of a namespace also chooses the method's mount and Vault namespace, and who may configure that
        # method has Vault send the tokens that it gets to an API server of their own.
        trusted = trusted and self.place.cluster_scoped
        return AccountToken(
            "kubernetes",
            mount,
            auth.role,
            own.namespace,
            own.name,
            uid="",
            audiences=() if trusted else (DEFAULT_AUDIENCE,),
            api_server=trusted,
            defaulted=not trusted,
        )

    async def _jwt(self, block: VaultBlock, auth: VaultJwtAuth) -> Login:
        mount, role = _mount(auth.path), auth.role.strip()
        if auth.secret_ref is not None:
            return Jwt("jwt", mount, role, await self._secret(auth.secret_ref))
        source = auth.kubernetes_service_account_token
        if source is None:
            raise SpecError(f"{self.place.path}.auth.jwt names no token")
        reference = source.service_account_ref
        account = await self._account(reference)
        return AccountToken(
            "jwt",
            mount,
            role,
            *account,
            (*reference.audiences, *(source.audiences or (DEFAULT_AUDIENCE,))),
            source.expiration_seconds or TOKEN_LIFETIME_S,
            api_server=self.rules.trusted.includes(block.server),
            defaulted=not reference.audiences and not source.audiences,
        )

    async def _account(self, reference: ServiceAccountSelector) -> tuple[str, str, str]:
        """Namespace, name and uid of a ServiceAccount."""
        where = self._where(reference)
        return where, reference.name, (await self.cluster.read_service_account(where, reference.name)).uid

    # -- clouds

    async def _iam(self, auth: VaultIamAuth) -> AwsIam:
        if self.aws is None:
            raise NotAvailableError(f"{self.place.path}.auth.iam is not available here")
        region = auth.region or DEFAULT_REGION
        if _REGION.fullmatch(region) is None:
            raise SpecError(f"{self.place.path}.auth.iam.region is not a region")
        keys = auth.secret_ref
        jwt = auth.jwt
        block = AWSAuth(
            # As in the reference operator, jwt goes first.
            jwt=None if jwt is None else AWSJWTAuth(service_account_ref=jwt.service_account_ref),
            secret_ref=None
            if keys is None or jwt is not None
            else AWSAuthSecretRef(
                access_key_id=keys.access_key_id,
                secret_access_key=keys.secret_access_key,
                session_token=keys.session_token,
            ),
        )
        source = await self.aws.find(
            block,
            self.place.owner,
            self.namespace,
            self.cluster,
            region=region,
            roles=(auth.role,) if auth.role else (),
            external_id=auth.external_id,
        )
        mount = _mount(auth.path or "aws")
        return AwsIam(mount, auth.vault_role, region, auth.vault_aws_iam_server_id, source)

    async def _google(self, auth: VaultGCPAuth) -> Google:
        mount = _mount(auth.path)
        if auth.secret_ref is not None:
            return Google(mount, auth.role, await self._google_key(auth.secret_ref.secret_access_key))
        identity = auth.workload_identity
        if identity is None:
            return Google(mount, auth.role, GoogleInstance())
        reference = identity.service_account_ref
        where = self._where(reference)
        account = await self.cluster.read_service_account(where, reference.name)
        project = identity.cluster_project_id or auth.project_id
        parts = (project, identity.cluster_location, identity.cluster_name)
        if not all(_PROJECT.fullmatch(part) for part in parts):
            field = f"{self.place.path}.auth.gcp.workloadIdentity"
            raise NotAvailableError(
                f"{field} needs clusterProjectID, clusterLocation and clusterName",
                hint="Set all three: Keyferry does not ask the metadata service for them",
            )
        return Google(
            mount,
            auth.role,
            GoogleWorkload(
                where,
                reference.name,
                account.uid,
                _email_of(account, f'ServiceAccount "{where}/{reference.name}"'),
                pool=f"{project}.svc.id.goog",
                provider=f"https://container.googleapis.com/v1/projects/{parts[0]}/locations/{parts[1]}/clusters/{parts[2]}",
                audiences=reference.audiences,
            ),
        )

    async def _google_key(self, selector: SecretKeySelector | None) -> GoogleKey:
        text = (await self._secret(selector)).reveal()
        try:
            document = msgspec.json.decode(text, type=dict[str, Any])
        except (msgspec.DecodeError, UnicodeDecodeError):
            document = {}
        email, key_id, key = (
            document.get(name) for name in ("client_email", "private_key_id", "private_key")
        )
        if not (isinstance(email, str) and isinstance(key_id, str) and isinstance(key, str)) or not (
            _EMAIL.fullmatch(email)
        ):
            raise AuthFailed(
                f"{self.place.path}.auth.gcp.secretRef leads to something else than a service account's key file",
                hint="Keep the JSON file in the Secret as Google Cloud gives it",
            )
        return GoogleKey(email, key_id, SecretBytes(key))

    # -- references

    def _where(self, reference: NamespacedReference) -> str:
        found = effective_namespace(reference, self.place.owner.namespace, self.namespace)
        if not found:
            raise ForbiddenError(
                f"{self.place.owner} names an object without a namespace, which only an ExternalSecret can fill in"
            )
        return found

    async def _secret(self, selector: SecretKeySelector | None, default_key: str = "") -> SecretBytes:
        """The value that a selector names, without the line break that `echo` leaves at its end."""
        if selector is None:
            raise SpecError(f"{self.place.path}.auth lacks a reference to a Secret")
        where, key = self._where(selector), selector.key or default_key
        secret = await self.cluster.read_secret(where, selector.name)
        value = secret.data.get(key)
        stripped = b"" if value is None else value.reveal().strip()
        if not stripped:
            raise AuthFailed(
                f'Secret "{where}/{selector.name}" has no value under the key "{key}"',
                hint=f"Add it, or correct the {self.place.owner.kind}",
            )
        try:
            stripped.decode()
        except UnicodeDecodeError:
            raise AuthFailed(
                f'key "{key}" of Secret "{where}/{selector.name}" is no text', hint="Keep it as text"
            ) from None
        return SecretBytes(stripped)


def _email_of(account: ServiceAccountObject, what: str) -> str:
    email = account.annotations.get(GOOGLE_ANNOTATION, "")
    if _EMAIL.fullmatch(email) is None:
        raise AuthFailed(
            f"{what} stands for no Google service account", hint=f"Annotate it with {GOOGLE_ANNOTATION}"
        )
    return email


def _mount(mount: str) -> str:
    return mount.strip("/")
