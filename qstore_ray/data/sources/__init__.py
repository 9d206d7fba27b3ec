"""Sources: adapters that turn parameters into read tasks, opened by name.

Begin with `base.py`: what a source is, and the registry `SOURCES`. `sklearn.py` is a short one to
copy. `local/` reads files, `huggingface/` the hub, `backend_api.py` a dataset service.

    parts         which names mean train, val and test; one rule for all sources
    array_pairs   which arrays are features and labels
    cachefile     files of a download cache, checked before they are opened

To add a source, write an adapter with `Params` and `read`, and name it in `SOURCES`; another
package declares it in the entry-point group `qstore_ray.sources`.
"""
