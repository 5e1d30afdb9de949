"""The manifests that are rendered, and what they need of each other: read from files, never from a cluster."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import yaml

from keyferry.api import names

ENDINGS: Final = frozenset({".yaml", ".yml", ".json"})
STDIN: Final = "-"
DEFAULT_NAMESPACE: Final = "default"
MAX_NODES: Final = 1_000_000
"""Of a document when all aliases are written out: few lines of them can stand for more than any memory holds."""
_GROUP: Final = names.GROUP
_QUOTED: Final = re.compile(r" ?(['\"]).*\1", re.DOTALL)
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
                _nodes(node, {})
                yield node.start_mark.line + 1, loader.construct_document(node)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark is not None else 1
        # The problem alone, and of that not what it quotes: it would show what stands there.
        problem = _QUOTED.sub("", str(error.problem))
        raise UnreadableError(f"{path}:{line}: it is no YAML: {problem}") from None
    except _TooMuchError as error:
        raise UnreadableError(f"{path}: {error}") from None
    except (yaml.YAMLError, ValueError, RecursionError):
        raise UnreadableError(f"{path}: it is no YAML") from None
    finally:
        loader.dispose()


class _TooMuchError(Exception):
    """What a document's aliases stand for cannot be written out."""


def _nodes(node: yaml.Node, known: dict[int, int]) -> int:
    """How many nodes a document has with its aliases written out.

    Raises:
        _TooMuchError: too many, or without end.
    """
    found = known.get(id(node))
    if found == 0:
        raise _TooMuchError("an alias stands within what it stands for")
    if found is not None:
        return found
    known[id(node)] = 0
    count = 1
    if isinstance(node, yaml.MappingNode):
        count += sum(_nodes(one, known) for pair in node.value for one in pair)
    elif isinstance(node, yaml.SequenceNode):
        count += sum(_nodes(one, known) for one in node.value)
    if count > MAX_NODES:
        raise _TooMuchError(f"it has more than {MAX_NODES} values when its aliases are written out")
    known[id(node)] = count
    return count


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
        found.wanted.append(Manifest(where, _spread(where, one)))
    elif group == _GROUP and kind in _STORES:
        namespace = "" if kind == names.CLUSTER_SECRET_STORE else key[1]
        _mapping(where, _mapping(where, one, "spec"), "provider")
        found.stores[key[0], namespace, key[2]] = one
    elif one.get("apiVersion") == "v1" and kind in ("ConfigMap", "Secret"):
        found.texts[key] = _data_of(where, one)


def _mapping(where: str, one: Mapping[str, Any], field: str) -> Mapping[str, Any]:
    """A field that holds a mapping, or nothing."""
    found = one.get(field) or {}
    if not isinstance(found, dict):
        raise UnreadableError(f"{where}: {field} is no mapping")
    return found


def _spread(where: str, one: dict[str, Any]) -> dict[str, Any]:
    """The ExternalSecret that a ClusterExternalSecret makes in a namespace."""
    spec = _mapping(where, one, "spec")
    metadata = dict(_mapping(where, spec, "externalSecretMetadata"))
    metadata["name"] = spec.get("externalSecretName") or one["metadata"]["name"]
    return {"kind": one["kind"], "metadata": metadata, "spec": spec.get("externalSecretSpec") or {}}


def _data_of(where: str, one: dict[str, Any]) -> dict[str, bytes]:
    import base64
    import binascii

    texts = _mapping(where, one, "stringData")
    plain = {**_mapping(where, one, "data"), **texts}
    found = {str(key): str(value).encode() for key, value in plain.items()}
    encoded = _mapping(where, one, "data" if one["kind"] == "Secret" else "binaryData")
    for key, value in encoded.items():
        if key in texts:
            continue
        try:
            found[str(key)] = base64.b64decode(str(value), validate=True)
        except binascii.Error:
            raise UnreadableError(f"{where}: the value of {key!r} is not base64") from None
    return found
