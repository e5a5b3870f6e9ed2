"""Writes extras.pt as torch.save would: a zip with a pickle and storages. Needs nothing but Python.

The settings beside the weights are those that people save: numpy scalars, Namespace, paths, dates, defaultdicts, sets,
torch.Size, dtypes, devices, and objects of their own classes.
"""
import argparse, collections, datetime, io, pathlib, pickle, struct, sys, types, zipfile


def module(name, **content):
    m = types.ModuleType(name)
    for key, value in content.items():
        if hasattr(value, "__module__"):
            value.__module__, value.__qualname__ = name, key
        setattr(m, key, value)
    sys.modules[name] = m
    if "." in name:
        parent, child = name.rsplit(".", 1)
        setattr(sys.modules[parent], child, m)
    return m


def func(*args): ...


class Storage: ...
class Complex: ...
class Dtype:
    def __init__(self, *a): self.a = a
    def __reduce__(self): return (Dtype, ("f8", False, True), (3, "<", None, None, None, -1, -1, 0))
    def __setstate__(self, state): ...
class Size(tuple):
    def __reduce__(self): return (Size, (tuple(self),))
class Global(str):
    def __reduce__(self): return str(self)
class Ours: ...
class Config(dict): ...


def rebuild(*a): ...
def parameter(*a): ...
def from_type(*a): ...
def scalar(*a): ...


torch = module("torch", FloatStorage=Storage, ComplexFloatStorage=Complex, Size=Size)
module("torch._utils", _rebuild_tensor_v2=rebuild, _rebuild_parameter=parameter)
module("torch._tensor", _rebuild_from_type_v2=from_type)
module("numpy", dtype=Dtype)
module("numpy.core")
module("numpy.core.multiarray", scalar=scalar)
module("project")
module("project.train", Trainer=Ours, Config=Config)


class Call:
    def __init__(self, f, *args): self.call = (f, args)
    def __reduce__(self): return self.call


class Pid:
    def __init__(self, kind, key, n): self.pid = ("storage", kind, key, "cpu", n)


class Pickler(pickle.Pickler):
    def persistent_id(self, obj): return obj.pid if isinstance(obj, Pid) else None


storages = {}


def tensor(*values, kind=Storage):
    key = str(len(storages))
    storages[key] = struct.pack("<%df" % len(values), *values)
    n = len(values)
    return Call(rebuild, Pid(kind, key, n), 0, (n,), (1,), False, collections.OrderedDict())


ours = Ours()
ours.self, ours.path = ours, pathlib.PurePosixPath("/data/x")
groups = collections.defaultdict(list, {"a": [1, 2]})
settings = Config(lr=0.1, nested=Config(x=1))
weights = collections.defaultdict(Ours)
weights["module.net.weight"] = tensor(1, 2, 3)
weights["module.net.bias"] = Call(parameter, tensor(4), True, collections.OrderedDict())
weights["module.net.scale"] = Call(from_type, rebuild, Ours, tensor(5, 6).call[1], {"tag": ours})
weights["n_averaged"] = tensor(7)
checkpoint = {
    "epoch": 12,
    "best": Call(scalar, Dtype(), struct.pack("<d", 0.5)),
    "args": argparse.Namespace(lr=0.1, out=pathlib.PurePosixPath("runs/1"), when=datetime.datetime(2026, 1, 2)),
    "groups": groups, "settings": settings, "tags": {"a", "b"}, "frozen": frozenset([1]), "size": Size((1, 2)),
    "trainer": ours, "span": slice(1, 2), "spectrum": tensor(1, 2, kind=Complex), "day": datetime.timedelta(days=1),
    "optimizer": {"state": {0: {"exp_avg": tensor(8, 9)}}, "param_groups": [{"lr": 0.1}]},
    "nested": {"runs": {"state_dict_ema": weights}},
}
checkpoint["itself"] = checkpoint
out = io.BytesIO()
Pickler(out, protocol=2).dump(checkpoint)
with zipfile.ZipFile(sys.argv[1], "w", zipfile.ZIP_STORED) as z:
    z.writestr("extras/data.pkl", out.getvalue())
    for key, raw in storages.items():
        z.writestr("extras/data/" + key, raw)
