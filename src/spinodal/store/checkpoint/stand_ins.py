"""Stand-ins for what training code leaves beside the weights: PyTorch's reader gets them in place of the real classes.

A pickle names classes and functions, and calls them. PyTorch's `weights_only` reader calls those it knows and those it
is given, nothing else. It is given the classes below, each under the name of a harmless one: whatever they are called
with, they keep nothing and do nothing, and the real class is neither imported nor made. So a number of NumPy or the
arguments of a training script are passed over, and no code but PyTorch's own and this file's is run.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch import serialization

VALUES = (  # plain values, and holders of settings
    "argparse.Namespace", "types.SimpleNamespace", "typing.Any",
    "builtins.bool", "builtins.bytes", "builtins.dict", "builtins.float", "builtins.frozenset", "builtins.int",
    "builtins.list", "builtins.range", "builtins.slice", "builtins.str", "builtins.tuple",
    "datetime.date", "datetime.datetime", "datetime.time", "datetime.timedelta", "datetime.timezone",
    "decimal.Decimal", "fractions.Fraction", "uuid.UUID", "zoneinfo.ZoneInfo._unpickle",
    *(f"{module}.{name}" for module in ("pathlib", "pathlib._local")
      for name in ("Path", "PosixPath", "WindowsPath", "PurePath", "PurePosixPath", "PureWindowsPath")),
    *(f"numpy.{module}.multiarray.{name}" for module in ("core", "_core") for name in ("scalar", "_reconstruct")),
    "numpy.dtype", "numpy.ndarray",
    *(f"numpy.{kind}" for kind in ("bool_", "float16", "float32", "float64", "int8", "int16", "int32", "int64", "uint8")),
    "numpy.random._pickle.__generator_ctor", "numpy.random._pickle.__bit_generator_ctor",
    "numpy.random._pcg64.PCG64", "numpy.random._mt19937.MT19937", "numpy.random.bit_generator.SeedSequence",
    "numpy.random.bit_generator.__pyx_unpickle_SeedSequence",
    "torch.torch_version.TorchVersion",
    "omegaconf.base.ContainerMetadata", "omegaconf.base.Metadata",
    "omegaconf.dictconfig.DictConfig", "omegaconf.listconfig.ListConfig",
    *(f"omegaconf.nodes.{kind}Node" for kind in ("Any", "Boolean", "Bytes", "Float", "Integer", "Path", "String")),
)  # fmt: skip
MAPPINGS = (
    "collections.defaultdict",
    "easydict.EasyDict",
    "lightning.fabric.utilities.data.AttributeDict",
    "lightning.pytorch.utilities.parsing.AttributeDict",
    "lightning_fabric.utilities.data.AttributeDict",
    "pytorch_lightning.utilities.parsing.AttributeDict",
)
SEQUENCES = ("collections.deque",)


class PassedOver:
    """An object beside the weights, of which nothing is kept."""

    def __new__(cls, *arguments: Any, **words: Any) -> PassedOver:
        """Keep nothing of what it is called with."""
        return object.__new__(cls)

    def __init__(self, *arguments: Any, **words: Any) -> None:
        pass

    def __setstate__(self, state: Any) -> None:
        pass


class _Mapping:
    """A mapping of another class, read as a plain one, since it may hold the weights."""

    def __new__(cls, *arguments: Any) -> OrderedDict[Any, Any]:  # type: ignore[misc]
        return OrderedDict()


class _Sequence:
    """A sequence of another class, read as a plain one."""

    def __new__(cls, *arguments: Any) -> list[Any]:  # type: ignore[misc]
        return []


def _stand_in(path: str, kind: type) -> type:
    """Return a stand-in of a name; PyTorch reads the name off the class."""
    module, _, name = path.rpartition(".")
    return type(name, (kind,), {"__module__": module, "__qualname__": name})


STAND_INS: list[Any] = [
    _stand_in(path, kind)
    for kind, paths in ((PassedOver, VALUES), (_Mapping, MAPPINGS), (_Sequence, SEQUENCES))
    for path in paths
]


@contextmanager
def only_stand_ins() -> Iterator[None]:
    """Let PyTorch's reader make stand-ins, and nothing that other code of the process has allowed."""
    allowed = serialization.get_safe_globals()
    serialization.clear_safe_globals()
    serialization.add_safe_globals(STAND_INS)
    try:
        yield
    finally:
        serialization.clear_safe_globals()
        serialization.add_safe_globals(allowed)
