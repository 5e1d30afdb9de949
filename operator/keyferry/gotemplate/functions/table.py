"""All functions, by name."""

from __future__ import annotations

from typing import Final

from keyferry.gotemplate.functions import (
    aes,
    builtins,
    casing,
    certificates,
    convert,
    dates,
    defaults,
    dicts,
    encodings,
    jsons,
    jwks,
    keys,
    lists,
    numbers,
    passwords,
    paths,
    pems,
    pkcs12,
    randoms,
    reflection,
    regexps,
    rsas,
    strings,
    urls,
    versions,
    yamls,
)
from keyferry.gotemplate.signatures import Function, merged

_MODULES: Final = (
    *(
        aes,
        builtins,
        casing,
        certificates,
        convert,
        dates,
        defaults,
        dicts,
        encodings,
        jsons,
        jwks,
        keys,
        lists,
    ),
    *(numbers, passwords, paths, pems, pkcs12, randoms, reflection, regexps, rsas, strings, urls, versions),
    yamls,
)

FUNCTIONS: Final[dict[str, Function]] = merged(module.group for module in _MODULES)
"""What templates may call: nothing of it reads the environment, files, the network or a clock."""
