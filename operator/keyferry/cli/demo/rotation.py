"""`keyferry demo rotate`: a new password into a kept demo's store, and the time until the Secret has it."""

from __future__ import annotations

import base64
import os
import secrets
import time
from pathlib import Path

from keyferry.cli.demo.failure import DemoFailed
from keyferry.cli.demo.kept import KeptDemo
from keyferry.cli.demo.programs import RunningAws, isolate
from keyferry.cli.demo.stage import COLLECTIONS, NAMESPACE
from keyferry.cli.demo.story import STORE_KEY, TARGET, USERNAME
from keyferry.cli.demo.timeline import duration
from keyferry.cli.demo.watch import Object, Watch
from keyferry.localcluster.layout import running_pid


def rotate(demo: KeptDemo) -> str:
    """Rotate the password; what happened, for people.

    Raises:
        DemoFailed: it does not arrive, or nothing runs.
    """
    if running_pid(Path(demo.folder)) is None:
        raise DemoFailed(f'the demo in "{demo.folder}" does not run any more')
    isolate(os.environ)
    password = secrets.token_urlsafe(24)
    administrator = RunningAws(Path(demo.folder)).administrator()

    def has_arrived(secret: Object | None) -> bool:
        data = (secret or {}).get("data") or {}
        return base64.b64decode(data.get("password", "")) == password.encode()

    with Watch(Path(demo.kubeconfig), {"secrets": COLLECTIONS["secrets"]}) as watch:
        began = time.monotonic()
        administrator.put_secret(STORE_KEY, {"username": USERNAME, "password": password})
        arrived = watch.wait("secrets", TARGET, has_arrived, after=began)
    took = duration(arrived.at - began)
    return f"A new password of {len(password)} bytes is in the store, and {took} later in Secret {NAMESPACE}/{TARGET}"
