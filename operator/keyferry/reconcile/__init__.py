"""Order and time: the work queue, the workers, and one short file per kind that says who is called when.

It parses no specs (core does) and catches no SDK exceptions (providers translate them).
"""
