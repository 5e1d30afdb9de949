"""The resources as typed models: data and validation of the wire, nothing else.

One file per kind; `crd.py` and `admission.py` make CustomResourceDefinitions and admission policies of
them (`keyferry crds` writes these down). A field's docstring is what `kubectl explain` shows. Business
rules, clocks and I/O do not live here. Every room may read from here; import the file that you need,
this one stays empty so that a process loads only what it uses.
"""
