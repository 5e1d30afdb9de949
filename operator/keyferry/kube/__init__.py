"""The only room that talks to the API server: client, watches, writes, tokens, events.

It knows nothing of stores or providers. Foreign failures end here: what leaves is a `KubeError`.
"""
