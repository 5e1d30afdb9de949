"""Decisions: pure functions over frozen records. No I/O, no event loop, no clock, no log.

`reconcile` reads the world, asks this room what to do, and carries it out through `kube` and `planner`.
"""
