"""What doubles share that are processes of their own: start and end, the control API, the call log, broken answers.

`aws` and `azure` are built on it: each adds its services, and what its faults and its records of calls hold.
"""
