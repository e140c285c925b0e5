"""Arrays in files of the user's own: .npy, .npz, .pt, .safetensors and HDF5, described without reading their values.

Where the values lie in a file as they are, in C order and a float type that the estimators take, `StoredArray.in_place`
says so, and they need no copy. Others are read some rows at a time.
"""

import contextlib
import json
import math
import shutil
import tempfile
import zipfile
from pathlib import Path
from typing import NamedTuple

import h5py
import numpy as np

from actdim.errors import UserError

ARRAY_ENDINGS = (".npy", ".npz", ".pt", ".pth", ".safetensors")
ENDINGS = (*ARRAY_ENDINGS, ".h5", ".hdf5")
BFLOAT16, BITS_OF_BFLOAT16 = "bfloat16", "<u2"  # NumPy has no such type
FLOATS = tuple(np.dtype(name).str for name in ("float16", "float32", "float64"))
SAFETENSORS = {
    "F16": "<f2",
    "F32": "<f4",
    "F64": "<f8",
    "BF16": BFLOAT16,
    "BOOL": "|b1",
    **{f"{kind}{8 * size}": f"<{kind.lower()}{size}" for kind in "IU" for size in (2, 4, 8)},
    "I8": "|i1",
    "U8": "|u1",
}
NPY_HEADERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
PIECE = 1 << 26  # bytes that are read at once


class StoredArray(NamedTuple):
    """Where an array lies in a file, and what it is."""

    path: str
    key: str  # of the array in the file; empty where the file is one array
    shape: tuple[int, ...]
    dtype: str  # as numpy.dtype.str has it, or bfloat16
    offset: int | None = None  # of its first byte, where its values lie in the file as they are
    fortran: bool = False  # whether the first index varies fastest

    @property
    def in_place(self):
        """Whether the estimators can read the values where they lie."""
        return self.offset is not None and not self.fortran and self.dtype in FLOATS

    @property
    def features(self):
        """The number of values of a sample."""
        return math.prod(self.shape[1:])

    @property
    def bytes_as_floats(self):
        """The number of bytes of all values as floats."""
        return self.shape[0] * self.features * float_dtype(self.dtype).itemsize

    @property
    def name(self):
        """The file and the array for a reader."""
        return f"{self.path}[{self.key!r}]" if self.key else self.path


def list_arrays(path):
    """Return {key: StoredArray} of the arrays in a file. Raises UserError where it is missing or cannot be read."""
    path = str(path)
    with readable(path):
        return READERS[Path(path).suffix](path)


def only_array(path, key=None):
    """Return the StoredArray of a key in a file, or the only one. Raises UserError where it is neither."""
    arrays = list_arrays(path)
    if key in arrays:
        return arrays[key]
    if len(arrays) != 1:
        right = f"should have one, or one named {key}" if key else "name one of them"
        raise UserError(f"{path}: has {len(arrays)} arrays, {', '.join(arrays)}; {right}")
    return next(iter(arrays.values()))


def require_points(array):
    """Raise UserError where a StoredArray holds no numbers, or does not have shape (samples, features, ...)."""
    try:
        float_dtype(array.dtype)
    except ValueError as error:
        raise UserError(f"{array.name}: {error}") from None
    if len(array.shape) < 2 or 0 in array.shape:
        raise UserError(f"{array.name}: has shape {array.shape}; should be (samples, features, ...)")


def load_points(path, key=None):
    """Return the array of a key in a file, or the only one, as floats (n, features), where possible without a copy."""
    array = only_array(path, key)
    require_points(array)
    if array.in_place:
        return mapped(path, array, array.offset).reshape(array.shape[0], -1)
    return np.concatenate([values for _, values in read_floats(array)])


@contextlib.contextmanager
def readable(path):
    """Turn whatever a file that cannot be read leads to into a UserError that names it."""
    try:
        yield
    except UserError:
        raise
    except FileNotFoundError:
        raise UserError(f"{path}: no such file") from None
    except Exception as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise UserError(f"{path}: cannot be read as {Path(path).suffix}: {reason}") from None


def arrays_of_npy(path):
    """Return {"": StoredArray} of an .npy file."""
    values = np.load(path, mmap_mode="r", allow_pickle=False)
    fortran = values.flags.f_contiguous and not values.flags.c_contiguous
    return {"": StoredArray(path, "", values.shape, values.dtype.str, values.offset, fortran)}


def arrays_of_npz(path):
    """Return {key: StoredArray} of an .npz file, a zip archive of .npy files."""
    arrays = {}
    with zipfile.ZipFile(path) as archive, open(path, "rb") as file:
        for member in archive.infolist():
            with archive.open(member) as stream:
                read_header = NPY_HEADERS[np.lib.format.read_magic(stream)]
                shape, fortran, dtype = read_header(stream)
                header = stream.tell()
            offset = None
            if member.compress_type == zipfile.ZIP_STORED:
                file.seek(member.header_offset + 26)  # the lengths of the member's name and extra field
                name, extra = np.frombuffer(file.read(4), "<u2").tolist()
                offset = member.header_offset + 30 + name + extra + header
            key = member.filename.removesuffix(".npy")
            arrays[key] = StoredArray(path, key, shape, dtype.str, offset, fortran and len(shape) > 1)
    return arrays


def arrays_of_safetensors(path):
    """Return {key: StoredArray} of a .safetensors file: the length of a JSON header, the header, and the values."""
    with open(path, "rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if length > Path(path).stat().st_size:
            raise ValueError("its header is longer than the file")
        header = json.loads(file.read(length))
    header.pop("__metadata__", None)
    return {
        key: StoredArray(
            path,
            key,
            tuple(tensor["shape"]),
            SAFETENSORS.get(tensor["dtype"], tensor["dtype"]),
            8 + length + tensor["data_offsets"][0],
        )
        for key, tensor in header.items()
    }


def arrays_of_hdf5(path):
    """Return {name: StoredArray} of an HDF5 file: of /layers/<name> and of /<name>."""
    arrays = {}
    with h5py.File(path, "r") as file:
        for place in ("", "layers/"):
            group = file.get(place or "/")
            for key in group if isinstance(group, h5py.Group) else []:
                if group.get(key, getclass=True) is not h5py.Dataset:
                    continue
                data = group[key]
                dtype = "text" if h5py.check_string_dtype(data.dtype) else data.dtype.str
                plain = data.chunks is None and not data.is_virtual and not data.external
                offset = data.id.get_offset() if plain and data.file.filename == file.filename else None
                arrays[key] = StoredArray(path, f"{place}{key}", data.shape, dtype, offset)
    return arrays


def arrays_of_torch(path):
    """Return {key: StoredArray} of a file of torch.save: of a tensor, or of a dict of tensors."""
    return {
        key: StoredArray(path, key, tuple(tensor.shape), dtype_of_tensor(tensor))
        for key, tensor in load_tensors(path).items()
    }


def load_tensors(path):
    """Return {key: tensor} of a file of torch.save, mapped from the file and read without running code in it."""
    import torch  # imported here because that takes seconds, and most files need none

    content = torch.load(path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path))
    if isinstance(content, torch.Tensor):
        return {"": content}
    if not isinstance(content, dict):
        raise ValueError(f"holds a {type(content).__name__}; should hold a tensor, or a dict of tensors")
    layers = content.get("layers")
    content = {**content, **(layers if isinstance(layers, dict) else {})}
    return {str(key): tensor for key, tensor in content.items() if isinstance(tensor, torch.Tensor)}


def dtype_of_tensor(tensor):
    """Return the type of a tensor's values as StoredArray states it."""
    name = str(tensor.dtype).removeprefix("torch.")
    return name if name == BFLOAT16 or name.startswith("float8") else np.dtype(name).str


READERS = {
    ".npy": arrays_of_npy,
    ".npz": arrays_of_npz,
    ".safetensors": arrays_of_safetensors,
    **dict.fromkeys((".pt", ".pth"), arrays_of_torch),
    **dict.fromkeys((".h5", ".hdf5"), arrays_of_hdf5),
}


def float_dtype(dtype):
    """Return the NumPy float type in which values of a type are stored: their own, float32 for bfloat16.

    Integers and booleans become float64, which holds them as they are up to 2^53. Raises ValueError for other types.
    """
    if dtype == BFLOAT16:
        return np.dtype(np.float32)
    try:
        parsed = np.dtype(dtype)
    except TypeError:
        parsed = None
    if parsed is None or parsed.kind not in "fiub" or parsed.itemsize > 8:
        raise ValueError(f"holds values of type {dtype if parsed is None else parsed.name}; should hold numbers")
    return parsed.newbyteorder("=") if parsed.kind == "f" else np.dtype(np.float64)


def read_floats(array, folder=None):
    """Yield (rows, values) of a StoredArray piece by piece: a slice of the rows, and these as floats (m, features).

    folder: where the values of a compressed .npz file are unpacked meanwhile. Raises UserError where it cannot be read.
    """
    target = float_dtype(array.dtype)
    at_once = max(1, PIECE // max(1, array.features * target.itemsize))
    with opened(array, folder) as values:
        for start in range(0, array.shape[0], at_once):
            rows = slice(start, min(start + at_once, array.shape[0]))
            with readable(array.path):
                yield rows, as_floats(values[rows], array.dtype).reshape(rows.stop - start, -1)


@contextlib.contextmanager
def opened(array, folder=None):
    """Yield an object that gives rows of a StoredArray by indexing; see read_floats."""
    with contextlib.ExitStack() as stack, readable(array.path):
        suffix = Path(array.path).suffix
        if suffix in (".pt", ".pth"):
            values = load_tensors(array.path)[array.key]
        elif array.offset is not None:
            values = RowsOfFile(array.path, array, array.offset)
        elif suffix == ".npz":
            values = unpacked(array, stack.enter_context(tempfile.NamedTemporaryFile(dir=folder)))
        else:
            file = stack.enter_context(h5py.File(array.path, "r"))
            values = file[array.key]
        yield values


class RowsOfFile:
    """The values of a StoredArray that lie in a file as they are, from an offset on, read by slices of rows.

    Mapping all of them at once would count as memory of the process.
    """

    def __init__(self, file, array, offset):
        self.file, self.array, self.offset = file, array, offset

    def __getitem__(self, rows):
        array = self.array
        if array.fortran:
            return np.array(mapped(self.file, array, self.offset)[rows])
        start, stop, _ = rows.indices(array.shape[0])
        dtype = np.dtype(BITS_OF_BFLOAT16 if array.dtype == BFLOAT16 else array.dtype)
        offset = self.offset + start * array.features * dtype.itemsize
        values = np.fromfile(self.file, dtype, (stop - start) * array.features, offset=offset)
        return values.reshape(stop - start, *array.shape[1:])


def mapped(file, array, offset):
    """Return the values of a StoredArray mapped from a file, in which they begin at an offset; bfloat16 as its bits."""
    dtype = BITS_OF_BFLOAT16 if array.dtype == BFLOAT16 else array.dtype
    return np.memmap(file, dtype, "r", offset, array.shape, order="F" if array.fortran else "C")


def unpacked(array, file):
    """Return the RowsOfFile of an array in a compressed .npz file, which is unpacked to an open file."""
    with zipfile.ZipFile(array.path) as archive, archive.open(f"{array.key}.npy") as stream:
        NPY_HEADERS[np.lib.format.read_magic(stream)](stream)
        shutil.copyfileobj(stream, file, PIECE)
    file.flush()
    return RowsOfFile(file.name, array, 0)


def as_floats(values, dtype):
    """Return a NumPy array or tensor whose values have a StoredArray's dtype as a NumPy array of its float_dtype."""
    if hasattr(values, "detach"):
        values = (values.float() if dtype == BFLOAT16 else values).numpy()
    elif dtype == BFLOAT16:  # the upper half of a float32
        values = (np.asarray(values).astype(np.uint32) << 16).view(np.float32)
    return np.ascontiguousarray(values, dtype=float_dtype(dtype))
