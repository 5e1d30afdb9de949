"""The manifests that are rendered, and what they need of each other: read from files, never from a cluster."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import yaml

from keyferry.api import names

ENDINGS: Final = frozenset({".yaml", ".yml", ".json"})
STDIN: Final = "-"
DEFAULT_NAMESPACE: Final = "default"
_GROUP: Final = names.GROUP
_STORES: Final = frozenset({names.SECRET_STORE, names.CLUSTER_SECRET_STORE})


class UnreadableError(Exception):
    """A file cannot be read, or is no YAML; the text says which and why, without its content."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """An ExternalSecret to render.

    Args:
        where: file and line.
        body: the object; of a ClusterExternalSecret the ExternalSecret that it makes.
    """

    where: str
    body: Mapping[str, Any]

    @property
    def name(self) -> str:
        """Its name, as texts have it."""
        return f"{self.body['kind']} {self.namespace}/{self.body['metadata']['name']}"

    @property
    def namespace(self) -> str:
        """Its namespace."""
        return str(self.body["metadata"].get("namespace") or DEFAULT_NAMESPACE)


@dataclass(slots=True)
class Manifests:
    """All that was read.

    Args:
        wanted: ExternalSecrets, in their order.
        texts: ConfigMaps and Secrets by kind, namespace and name: their data as bytes.
        stores: stores by kind, namespace and name.
    """

    wanted: list[Manifest] = field(default_factory=list)
    texts: dict[tuple[str, str, str], dict[str, bytes]] = field(default_factory=dict)
    stores: dict[tuple[str, str, str], Mapping[str, Any]] = field(default_factory=dict)


def files_of(paths: Sequence[str]) -> Iterator[Path]:
    """The files that the paths name, and those of folders, below them too, but not in hidden ones.

    Raises:
        UnreadableError: there is no such file or folder.
    """
    for path in map(Path, paths):
        if not path.is_dir():
            if not path.exists() and str(path) != STDIN:
                raise UnreadableError(f"{path}: there is no such file")
            yield path
            continue
        for file in sorted(path.rglob("*")):
            hidden = any(part.startswith(".") for part in file.relative_to(path).parts)
            if file.suffix in ENDINGS and file.is_file() and not hidden:
                yield file


def load(paths: Sequence[str], stdin: str = "") -> Manifests:
    """Read all files.

    Raises:
        UnreadableError: one of them cannot be read.
    """
    found = Manifests()
    for path in files_of(paths):
        text = stdin if str(path) == STDIN else read_text(path)
        for line, document in documents(path, text):
            for one in _objects(document):
                _take(found, f"{path}:{line}", one)
    return found


def read_text(path: Path) -> str:
    """A file's text.

    Raises:
        UnreadableError: it cannot be read.
    """
    try:
        return path.read_text("utf-8")
    except OSError as error:
        raise UnreadableError(f"{path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise UnreadableError(f"{path}: it is not UTF-8") from None


def documents(path: Path, text: str) -> Iterator[tuple[int, Any]]:
    """The YAML documents of a text, each with the line where it begins.

    Raises:
        UnreadableError: it is no YAML.
    """
    loader = yaml.SafeLoader(text)
    try:
        while loader.check_node():
            node = loader.get_node()
            if node is not None:
                yield node.start_mark.line + 1, loader.construct_document(node)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark is not None else 1
        # The problem alone: the whole text would show what stands there.
        raise UnreadableError(f"{path}:{line}: it is no YAML: {error.problem}") from None
    except (yaml.YAMLError, ValueError, RecursionError):
        raise UnreadableError(f"{path}: it is no YAML") from None
    finally:
        loader.dispose()


def _objects(document: Any) -> Iterator[dict[str, Any]]:
    if not isinstance(document, dict):
        return
    items = document.get("items")
    if str(document.get("kind", "")).endswith("List") and isinstance(items, list):
        for item in items:
            yield from _objects(item)
    elif isinstance(document.get("metadata"), dict) and document["metadata"].get("name"):
        yield document


def _take(found: Manifests, where: str, one: dict[str, Any]) -> None:
    kind, metadata = one.get("kind"), one["metadata"]
    group = str(one.get("apiVersion", "")).partition("/")[0]
    key = (str(kind), str(metadata.get("namespace") or DEFAULT_NAMESPACE), str(metadata["name"]))
    if group == _GROUP and kind == names.EXTERNAL_SECRET:
        found.wanted.append(Manifest(where, one))
    elif group == _GROUP and kind == names.CLUSTER_EXTERNAL_SECRET:
        found.wanted.append(Manifest(where, _spread(one)))
    elif group == _GROUP and kind in _STORES:
        namespace = "" if kind == names.CLUSTER_SECRET_STORE else key[1]
        found.stores[key[0], namespace, key[2]] = one
    elif one.get("apiVersion") == "v1" and kind in ("ConfigMap", "Secret"):
        found.texts[key] = _data_of(where, one)


def _spread(one: dict[str, Any]) -> dict[str, Any]:
    """The ExternalSecret that a ClusterExternalSecret makes in a namespace."""
    spec = one.get("spec") or {}
    metadata = dict(spec.get("externalSecretMetadata") or {})
    metadata["name"] = spec.get("externalSecretName") or one["metadata"]["name"]
    return {"kind": one["kind"], "metadata": metadata, "spec": spec.get("externalSecretSpec") or {}}


def _data_of(where: str, one: dict[str, Any]) -> dict[str, bytes]:
    import base64
    import binascii

    plain = {**(one.get("data") or {}), **(one.get("stringData") or {})}
    found = {str(key): str(value).encode() for key, value in plain.items()}
    encoded = (one.get("data") if one["kind"] == "Secret" else one.get("binaryData")) or {}
    for key, value in encoded.items():
        if key in (one.get("stringData") or {}):
            continue
        try:
            found[str(key)] = base64.b64decode(str(value), validate=True)
        except binascii.Error:
            raise UnreadableError(f"{where}: the value of {key!r} is not base64") from None
    return found
