"""The fetch planner: everything that workers want from a store goes through here.

Per store identity there is one session: one client, one set of credentials, one view of the store's health.
The planner asks each question once however many objects wait for the answer, fills batches, keeps answers
only while somebody who asked before them still waits, stops asking a store that fails, and slows down when
it says so. Nothing is shared between identities.
"""
