"""kopf and nothing else: how watch events come in. Each body reads, maps and hands over; no rules here.

`session.py` gives kopf its connection, `settings.py` its settings, `watch.py` the handlers that need only
kopf's public API, `inline.py` a faster way to the same events with a check and a fall-back to `watch.py`.
"""
