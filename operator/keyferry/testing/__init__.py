"""Shipped doubles and detectors: a strict AWS, a fault proxy for the API server, a leak detector.

They import leaf modules, ports and api of Keyferry and nothing else of it; only `cli` (for the demo)
and the tests import them. Nothing here is loaded by `keyferry run`.
"""
