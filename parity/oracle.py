"""What the oracles of this folder share: pictures, random weights, and the files that TestParity reads (see doc.go)."""
import importlib.metadata, json, math, os, sys, zlib
import torch
from safetensors.torch import save_file
from torch.nn import functional as F

OUT = sys.argv[1] if len(sys.argv) > 1 else "."
SOURCES = os.environ.get("PARITY_SOURCES", "")  # checkouts of the repositories that Makefile names
IMAGENET = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
torch.set_num_threads(int(os.environ.get("PARITY_THREADS", "2")))


def version(*packages):
    return ", ".join(f"{p} {importlib.metadata.version(p)}" for p in packages)


def pixels(w, h, size=None):
    """The picture that models.GoldenImage draws, [1,3,h,w] in 0..255, scaled to a working size (width, height)."""
    y, x, c = torch.meshgrid(torch.arange(h), torch.arange(w), torch.arange(3), indexing="ij")
    p = ((x * (3 + c) + y * (5 - c) + x * y * (c + 1) // 16) % 256).permute(2, 0, 1)[None].double()
    return p if size is None else F.interpolate(p, size=size[::-1], mode="bilinear", align_corners=False)


def picture(w, h, size=None, mean=IMAGENET[0], std=IMAGENET[1]):
    """The same, scaled to 0..1 and normalised."""
    mean, std = (torch.tensor(v, dtype=torch.float64)[None, :, None, None] for v in (mean, std))
    return (pixels(w, h, size) / 255 - mean) / std


def fill(model):
    """Gives a model random weights that depend on their names alone, so that activations neither vanish nor explode."""
    state = model.state_dict()
    for name, t in state.items():
        if t.dtype.is_floating_point and t.dim() > 0:
            state[name] = made_up(name, list(t.shape)).to(t.dtype)
    model.load_state_dict(state)
    return model.eval()


def made_up(name, shape):
    """Weights by a formula that Go tests repeat (madeUp in models/nets)."""
    n = math.prod(shape)
    if len(shape) == 3 and shape[0] == 1:  # tokens and positions
        centre, spread = 0, 0.5
    elif len(shape) > 1:
        centre, spread = 0, (3 / math.prod(shape[1:])) ** 0.5
    elif name.endswith("running_var"):
        centre, spread = 1, 0.4
    elif name.endswith(("gamma", "lambda1")):
        centre, spread = 0.6, 0.3
    elif name.endswith("weight") and not name.endswith("in_proj_weight"):
        centre, spread = 1, 0.2
    else:
        centre, spread = 0, 0.1
    i = torch.arange(n, dtype=torch.int64)
    u = ((i * 2654435761 + zlib.crc32(name.encode())) % 2**32).double() / 2**32
    return (centre + spread * (2 * u - 1)).float().reshape(shape)


class Case:
    """One network: a folder with the user's files and with what must come out."""

    def __init__(self, network, oracle, command, weights="random"):
        self.folder, self.tensors = os.path.join(OUT, network), {}
        self.about = {"network": network, "oracle": oracle, "weights": weights, "import": command}
        os.makedirs(self.folder, exist_ok=True)

    def file(self, name):
        return os.path.join(self.folder, name)

    def expect(self, name, tensor):
        self.tensors[name] = tensor.detach().float().contiguous().clone()

    def grid(self, name, tensor):
        """expect for features [1,C,h,w]; TestParity compares them with the channels last."""
        self.expect(name, tensor[0].permute(1, 2, 0))

    def logits(self, picture, tensor):
        """expect for class scores [1,K,h,w] and their log Σ exp."""
        self.expect(picture + "/logits", tensor[0])
        self.expect(picture + "/lse", tensor[0].logsumexp(0))

    def write(self):
        save_file(self.tensors, self.file("expected.safetensors"))
        with open(self.file("case.json"), "w") as f:
            json.dump(self.about, f)
        print("wrote", self.about["network"], flush=True)


class Golden:
    """Slices for tests without Python: written to the folder in the second argument, if there is one. The weights come from
    the formula of made_up, so that the file holds only their names and shapes."""

    def __init__(self, name):
        self.name, self.tensors, self.shapes = name, {}, {}

    def network(self, name, model):
        self.shapes[name] = {k: list(v.shape) for k, v in model.state_dict().items() if v.dtype.is_floating_point and v.dim() > 0}

    def keep(self, name, tensor):
        flat = tensor.detach().flatten()
        self.tensors[name] = flat[:: max(1, len(flat) // 200) | 1].float().contiguous()

    def write(self):
        if len(sys.argv) > 2:
            meta = {k: json.dumps(v, separators=(",", ":")) for k, v in self.shapes.items()}
            file = os.path.join(sys.argv[2], self.name + "_golden.safetensors")
            save_file(self.tensors, file, meta)
            os.chmod(file, 0o644)


def called(w, h, size=None):
    """The name of a picture among the expected tensors."""
    return f"{w}x{h}" if size is None else f"{w}x{h}:{size[0]}x{size[1]}"
