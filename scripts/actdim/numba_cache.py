"""Compiled code that numba keeps on disk, made safe against a missing, a read-only and a corrupt cache.

By itself, numba raises an error where no folder for the cache can be written, where a file of the cache is truncated or
no pickle, and where writing to the cache fails. It runs code in which a byte has changed. And where two processes save
code of the same function for different types at once, both write a file of the same name, so that one type can get the
other's code.

Here each file has a checksum and a unique name, and code that cannot be read is compiled again. This changes private
parts of numba, so it is done only to the releases that it was tested with.
"""

import hashlib
import pickle
import uuid

KNOWN_RELEASES = {"0.68.1"}
NO_FOLDER = "/dev/null/numba"  # cannot exist
DIGEST = 32  # bytes of SHA-256


def make_cache_safe(numba):
    """Change numba, the module, as described above, if its release is known and that was not done before."""
    from numba.core import caching

    if numba.__version__ not in KNOWN_RELEASES or hasattr(caching.IndexDataCacheFile, "is_checked"):
        return

    class CheckedCacheFile(caching.IndexDataCacheFile):
        """The index and the data files of a function, each with a checksum at its end, which pickle ignores."""

        is_checked = True

        def save(self, key, data):
            try:
                super().save(key, data)
            except OSError as error:
                print(f"numba: compiled code is not kept, because its cache cannot be written ({error})", flush=True)

        def _data_name(self, number):
            return self._data_name_pattern.format(number=uuid.uuid4().int)

        def _dump(self, obj):
            content = super()._dump(obj)
            return content + hashlib.sha256(content).digest()

        def _load_index(self):
            try:
                with open(self._index_path, "rb") as file:
                    pickle.load(file)  # numba's release
                    require_intact(file.read())
                return super()._load_index()
            except Exception:  # which one depends on the bytes that are corrupt
                return {}

        def _load_data(self, name):
            with open(self._data_path(name), "rb") as file:
                require_intact(file.read())
            return super()._load_data(name)

    class NoFolderLocator(caching.UserWideCacheLocator):
        """Finds and keeps nothing, where no folder can be written."""

        def get_cache_path(self):
            return NO_FOLDER

        def ensure_cache_path(self):
            pass

    caching.IndexDataCacheFile = CheckedCacheFile
    caching.CacheImpl._locator_classes.append(NoFolderLocator)


def require_intact(content):
    """Raise OSError, which numba takes for a missing file, where bytes do not end with the checksum of the others."""
    if hashlib.sha256(content[:-DIGEST]).digest() != content[-DIGEST:]:
        raise OSError("checksum mismatch")
