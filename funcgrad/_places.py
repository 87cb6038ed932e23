"""Where arrays are: devices, and what JAX's arrays say of how they are divided among these."""

from __future__ import annotations

from typing import Any, ClassVar

__all__ = ["Device", "Shard", "SingleDeviceSharding", "Undivided", "cpu"]


class Device(str):
    """Where arrays are: a library, a kind of processor and a number, such as "torch:cuda:1", "torch:mps" or "cupy:0".

    NumPy's is `"cpu"`, which is what NumPy calls it; "numpy" is another name for it. A device of this name is always
    the same object, and equal to the name.

    Attributes:
        library: "numpy", "torch", "cupy", "simulated", or "strict" for array-api-strict.
        kind: of processor, as the library calls it: "cpu", "cuda", "mps", "xpu"; "device1" of array-api-strict's.
        platform: the same as JAX says it: "gpu" for "cuda".
        id: the number among those of its kind.

    >>> cpu.platform, cpu.id, cpu
    ('cpu', 0, CpuDevice(id=0))
    >>> Device("torch:cuda:1").id, Device("torch:cuda"), Device("numpy")
    (1, Device('torch:cuda:0'), CpuDevice(id=0))
    """

    __slots__ = ("id", "kind", "library")
    process_index = host_id = 0
    _known: ClassVar[dict[str, Device]] = {}

    def __new__(cls, name: str) -> Device:
        library, kind, number = _device_parts(name)
        if library in _ONE_KIND:
            whole = f"{library}:{number}"
        else:
            whole = kind if library == "numpy" else f"{library}:{kind}"
            whole += f":{number}" if kind in ("cuda", "xpu") else ""
        found = cls._known.get(whole)
        if found is None:
            found = super().__new__(cls, whole)
            found.library, found.kind, found.id = library, kind, number
            found = cls._known.setdefault(whole, found)
        return found

    def __reduce__(self) -> Any:
        return Device, (str(self),)

    @property
    def platform(self) -> str:
        return "gpu" if self.kind == "cuda" else self.kind

    @property
    def device_kind(self) -> str:
        return self.kind

    @property
    def local_hardware_id(self) -> int:
        return self.id

    def __repr__(self) -> str:
        return "CpuDevice(id=0)" if self.library == "numpy" else f"Device({str(self)!r})"

    def memory_stats(self) -> None:
        """Nothing: it is not counted."""


_ONE_KIND = {"cupy": "cuda", "simulated": "simulated"}
"""The kind of all devices of a library."""


def _device_parts(name: str) -> tuple[str, str, int]:
    """The library, the kind of processor and the number in the name of a device."""
    if name in ("cpu", "numpy", "numpy:cpu"):
        return "numpy", "cpu", 0
    library, _, rest = name.partition(":")
    kind, _, number = rest.partition(":")
    if library in _ONE_KIND:
        kind, number = _ONE_KIND[library], kind
    if number and not number.isdigit():
        kind, number = rest, ""
    return library, kind or "cpu", int(number or 0)


cpu = Device("cpu")
"""NumPy's device."""


class SingleDeviceSharding:
    """The sharding of every array: all of it on the one device."""

    __slots__ = ("device",)

    def __init__(self, device: Device = cpu, *, memory_kind: str | None = None) -> None:
        self.device = device

    @property
    def device_set(self) -> set[Device]:
        return {self.device}

    is_fully_replicated = is_fully_addressable = True

    def __eq__(self, other: object) -> bool:
        return isinstance(other, SingleDeviceSharding) and self.device is other.device

    def __hash__(self) -> int:
        return hash((SingleDeviceSharding, self.device))

    def __repr__(self) -> str:
        return f"SingleDeviceSharding(device={self.device!r})"


class Shard:
    """A part of an array on one device: all of it.

    Attributes:
        data: the array.
        device: where it is.
        index: where it stands in the whole.
        replica_id: which of several copies it is.
    """

    __slots__ = ("data",)
    replica_id = 0

    def __init__(self, data: Any) -> None:
        self.data = data

    @property
    def device(self) -> Device:
        return self.data.device

    @property
    def index(self) -> tuple[slice, ...]:
        return (slice(None),) * self.data.ndim


class Undivided:
    """What arrays say that are on one device as a whole."""

    __slots__ = ()
    is_fully_addressable = is_fully_replicated = committed = True

    @property
    def addressable_shards(self) -> list[Shard]:
        """The one part that it is divided into."""
        return [Shard(self)]

    global_shards = addressable_shards

    def addressable_data(self, index: int) -> Any:
        """The array itself, which is its one part."""
        if index not in (0, -1):
            raise IndexError(f"an array is one part, number 0, got {index}")
        return self
