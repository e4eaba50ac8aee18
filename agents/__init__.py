"""Those who walk: training, explanation, replay and evaluation of path agents on the worlds of :mod:`envs`.

Each script is ``python -m agents.NAME``: ``train``, ``explain``, ``replay``, ``evaluate``. Importing this package
loads neither torch nor numpy and changes nothing in the process.
"""
