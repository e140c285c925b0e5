"""pynndescent with its compiled code cached on disk, so that a process need not compile it for half a minute.

numba can cache a compiled function on disk, but two things in pynndescent keep it from doing so:

1. A function that takes another function as an argument. numba knows the argument by an id that is drawn in each
   process, so that it never finds the cached code again. Here every function of pynndescent gets an id that is always
   the same.
2. Two functions that only call others, `nn_descent` and `nn_descent_internal`, which numba cannot cache. Here they run
   as the plain Python that they are written in.

The neighbors are the same bit for bit. Both changes reach into what is private to numba and pynndescent, so they are
made only to the releases that they were tested with; others run as they come, and compile in each process.
"""

import importlib
import sys
import uuid

from actdim.threads import import_numba

KNOWN_RELEASES = {("0.7.0", "0.68.1")}  # of pynndescent and numba


def nn_descent_class():
    """Return pynndescent.NNDescent, with its compiled code cached on disk where the releases are known."""
    numba = import_numba()
    pynndescent = importlib.import_module("pynndescent")
    release = pynndescent.__version__, numba.__version__
    if release in KNOWN_RELEASES:
        make_cacheable(" ".join(release))
    return pynndescent.NNDescent


def make_cacheable(release):
    """Change pynndescent, which is imported, so that numba caches its functions; `release` is part of their ids."""
    from numba.core.dispatcher import Dispatcher

    for name, module in list(sys.modules.items()):
        if name.split(".")[0] == "pynndescent":
            for function in vars(module).values():
                if isinstance(function, Dispatcher) and function.py_func.__module__ == name:
                    cache_on_disk(function, release)
    core = importlib.import_module("pynndescent.pynndescent_")
    for name in ("nn_descent", "nn_descent_internal"):
        function = getattr(core, name)
        setattr(core, name, getattr(function, "py_func", function))


def cache_on_disk(function, release):
    """Have numba cache a compiled function on disk, under an id made of the release and the function's name."""
    from numba.core.caching import NullCache

    if not function._MemoMixin__uuid:
        name = f"{release} {function.py_func.__module__}.{function.py_func.__qualname__}"
        function._set_uuid(str(uuid.uuid5(uuid.NAMESPACE_OID, name)))
    if isinstance(function._cache, NullCache):
        function.enable_caching()
