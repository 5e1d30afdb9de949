"""The stores: one package each, independent of each other, known to the rest through `registry` alone.

A provider knows its backend: authentication, wire, and the table from its errors to ours. It knows no
Kubernetes object but what `ports.ClusterAccess` gives, and it neither retries nor sleeps.
"""
