"""`keyferry demo rotate`: a new password into a kept demo's store, and the time until the Secret has it."""

from __future__ import annotations

import base64
import os
import secrets
import time
from pathlib import Path

from keyferry.cli.demo.kept import KeptDemo
from keyferry.cli.demo.programs import RunningAws, isolate
from keyferry.cli.demo.stage import COLLECTIONS
from keyferry.cli.demo.story import SECRET, STORE_KEY
from keyferry.cli.demo.timeline import duration
from keyferry.cli.demo.watch import Object, Watch


def rotate(demo: KeptDemo) -> str:
    """Rotate the password; what happened, for people.

    Raises:
        DemoFailed: it does not arrive.
    """
    isolate(os.environ)
    password = secrets.token_urlsafe(24)
    administrator = RunningAws(Path(demo.folder)).administrator()

    def has_arrived(secret: Object | None) -> bool:
        data = (secret or {}).get("data") or {}
        return base64.b64decode(data.get("password", "")) == password.encode()

    with Watch(Path(demo.kubeconfig), {"secrets": COLLECTIONS["secrets"]}) as watch:
        began = time.monotonic()
        administrator.put_secret(STORE_KEY, {"username": "shop", "password": password})
        arrived = watch.wait("secrets", SECRET, has_arrived, after=began)
    return f"A new password of {len(password)} bytes is in Secret team-a/{SECRET} after {duration(arrived.at - began)}."
