"""The values that stand for stores: a file of remote keys.

db/prod: {username: app, password: example}   # a remote secret that is a JSON object
api-token: example                            # one that is text
api-token@v1: example                         # its version v1
db/prod@metadata: {team: payments}            # for metadataPolicy Fetch
Password/db: {password: example}              # what the generator Password "db" makes
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from keyferry.api.external_secret import GeneratorRef, RemoteRef
from keyferry.cli.render.manifests import UnreadableError, documents, read_text
from keyferry.core.patterns import Pattern
from keyferry.core.sources import Question
from keyferry.errors import KeyferryError, RemoteSecretNotFound, SpecError
from keyferry.secretdata import SecretBytes


class Values:
    """Remote secrets by key.

    Args:
        entries: as the files have them.
    """

    def __init__(self, entries: Mapping[str, Any]) -> None:
        self._entries = {key: _bytes(value) for key, value in entries.items()}
        self._maps = {key: value for key, value in entries.items() if isinstance(value, dict)}

    @classmethod
    def load(cls, paths: Sequence[str]) -> Values:
        """Read the files; a later one wins.

        Raises:
            UnreadableError: one of them cannot be read, or is no mapping.
        """
        entries: dict[str, Any] = {}
        for path in map(Path, paths):
            for line, document in documents(path, read_text(path)):
                if document is None:
                    continue
                if not isinstance(document, dict):
                    raise UnreadableError(f"{path}:{line}: it is no mapping of remote keys to values")
                entries.update({str(key): value for key, value in document.items()})
        return cls(entries)

    def answer(self, question: Question) -> SecretBytes | Mapping[str, SecretBytes] | KeyferryError:
        """What the store or generator would say."""
        if question.generator is not None:
            return self._generated(question.generator)
        if question.find is not None:
            return self._found(question)
        return self._remote(question.remote or RemoteRef(key=""))

    def _remote(self, remote: RemoteRef) -> SecretBytes | KeyferryError:
        wanted = [f"{remote.key}@{remote.version}"] if remote.version else []
        if remote.metadata_policy == "Fetch":
            wanted = [f"{remote.key}@metadata"]
        else:
            wanted.append(remote.key)
        value = next((self._entries[key] for key in wanted if key in self._entries), None)
        if value is not None:
            return value
        return RemoteSecretNotFound(
            f"the values have no remote secret {wanted[0]!r}", hint="Add it to the file given with --values"
        )

    def _generated(self, ref: GeneratorRef) -> Mapping[str, SecretBytes] | KeyferryError:
        key = f"{ref.kind}/{ref.name}"
        made = self._maps.get(key)
        if made is None:
            return SpecError(
                f"the values do not say what {key} generates",
                hint=f"Add {key!r} with a mapping of keys to values to the file given with --values",
            )
        return {str(name): _bytes(value) for name, value in made.items()}

    def _found(self, question: Question) -> Mapping[str, SecretBytes] | KeyferryError:
        find = question.find
        assert find is not None  # noqa: S101 -- the caller has looked
        if find.tags:
            return SpecError("find.tags: the values have no tags", hint="Search by find.name or find.path")
        try:
            pattern = Pattern(find.name.regexp) if find.name is not None else None
        except KeyferryError as error:
            return error
        return {
            key: value
            for key, value in sorted(self._entries.items())
            if key.startswith(find.path or "") and (pattern is None or pattern.matches(key))
        }


def _bytes(value: Any) -> SecretBytes:
    """A value as a store would hold it: text as it is, everything else as JSON."""
    if isinstance(value, str):
        return SecretBytes(value.encode())
    if isinstance(value, bytes):
        return SecretBytes(value)
    return SecretBytes(json.dumps(value, ensure_ascii=False, default=str).encode())
