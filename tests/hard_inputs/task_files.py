"""Task files that cannot be used: broken text, functions that raise or return nonsense, models and data that are none."""

from __future__ import annotations

from pathlib import Path

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from hard_inputs.case import Case
from hard_inputs.command_lines import WORDS
from hard_inputs.program import Outcome

HEAD = """
import torch
from torch import nn
from spinodal import Task

x = torch.randn(20, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
y = 0.9 * x[:, :1]
nan, inf = float("nan"), float("inf")

def mse(model, batch):
    return (model(batch[0]) - batch[1]).square().sum(1).mean()

def net():
    return nn.Sequential(nn.Linear(2, 2, bias=False), nn.Linear(2, 1, bias=False))

def filled(value, dtype=torch.float64):
    model = net().to(dtype)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.fill_(value)
    return model

def make(**more):
    return Task(**{"model": net(), "loss": mse, "data": (x, y), **more})

class Odd(Exception):
    def __str__(self):
        raise RuntimeError("no text")

class Base(BaseException):
    pass

class Walked:
    def __init__(self, *batches):
        self.batches = batches
    def __iter__(self):
        return iter(self.batches)

class Fails(nn.Module):
    def __init__(self):
        super().__init__()
        self.w = nn.Parameter(torch.ones(2))
"""
RUN = ("map", "own.py:task", "--beta", "0.5:1.2", "--bracket", "1e-2", "--starts", "1", "--out", "out")

RAISED = st.one_of(
    st.sampled_from(
        (
            "1 / 0", "raise RuntimeError", "raise SystemExit(7)", "raise SystemExit", "raise SystemExit('text')",
            "raise Base('x')",
            "raise Odd", "raise GeneratorExit", "raise StopIteration", "raise MemoryError", "raise NotImplementedError",
            "raise RecursionError", "raise 3", "raise OSError(28, 'No space left on device')", "assert False", "nowhere",
            "import nowhere", "raise ExceptionGroup('many', [ValueError('a'), TypeError('b')])",
            "raise UnicodeError('\\udcff')",
            "raise KeyError", "raise torch.OutOfMemoryError('CUDA out of memory')", "(lambda f: f(f))(lambda f: f(f))",
            "raise BrokenPipeError", "raise EOFError", "raise Warning('w')", "exit(3)", "quit()",
        )
    ),
    st.tuples(st.sampled_from(("ValueError", "RuntimeError", "TypeError", "KeyError", "Exception")), WORDS).map(
        lambda pair: f"raise {pair[0]}({pair[1]!r})"
    ),
)  # fmt: skip

SYNTAX = st.one_of(
    st.sampled_from(
        (
            "def task(:", "(" * 300, "[" * 5000 + "]" * 5000, "x = " + "-" * 20000 + "1", "\tx\n  y", "return 3", "'",
            '"""', "\\",
            "def task(): pass\nclass", "a = 1\n\x00", "# coding: nowhere\n", "await x", "x = 08", "f'{'", "print 3",
            "<<<<<<< HEAD",
            "from . import x", "from __future__ import nowhere", "import", "*a = 1", "None = 1", "lambda", "\x0c(", "é = ",
        )
    ),
    st.text(min_size=1, max_size=30).map(lambda text: "def task(: " + text),
)  # fmt: skip

NONSENSE = ("None", "3", "'text'", "[]", "{}", "object()", "Task", "torch", "iter([])", "x", "...", "True", "len")
LOSSES = (
    *NONSENSE, "torch.tensor(nan)", "mse(m, b) * nan", "mse(m, b) * inf", "mse(m, b).detach()", "mse(m, b).item()",
    "mse(m, b).long()", "mse(m, b) > 0", "mse(m, b) * 1j", "torch.complex(mse(m, b), mse(m, b))", "mse(m, b)[None]",
    "mse(m, b).reshape(1)", "(m(b[0]) - b[1]).square()", "(m(b[0]) - b[1]).sum(1)", "mse(m, b).to_sparse()", "(mse(m, b),)",
    "{'loss': mse(m, b)}", "mse(m, b).half() * 1e6", "torch.zeros((), requires_grad=True)", "b[0].sum()",
    "torch.rand(()) * mse(m, b)",
    "mse(m, b) + torch.randn(())", "mse(m, b).to('meta')", "m(b[0])", "b", "m", "mse(net(), b)", "mse(m, b).bool()",
    "nn.MSELoss()",
    "mse(m, b) / 0", "torch.log(-1 - mse(m, b))", "mse(m)", "mse(m, b, 3)", "m(b[1]).sum()", "(m(b[0]) - b[1][:7]).sum()",
    "mse(m, b).numpy()", "str(mse(m, b))", "(_ for _ in [mse(m, b)])", "torch.sqrt(mse(m, b) * 0)", "-mse(m, b) * 1e3",
)  # fmt: skip
MODELS = (
    *NONSENSE, "net", "nn.Linear", "nn.Identity()", "nn.ReLU()", "nn.Sequential()", "filled(nan)", "filled(inf)",
    "filled(-inf)",
    "filled(1e308)", "nn.LazyLinear(1)", "net().to('meta')", "net().requires_grad_(False)",
    "nn.Linear(3, 1)", "nn.Linear(2, 7)", "nn.Sequential(nn.Linear(2, 1), nn.Dropout(0.5))", "Fails()", "nn.Conv2d(1, 1, 3)",
    "nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3), nn.Linear(3, 1))", "nn.Embedding(3, 1)", "nn.LSTM(2, 1)",
    "nn.ParameterList([])", "lambda b: b", "nn.Sequential(nn.Linear(2, 1), nn.RReLU())", "[net()]",
    "nn.Sequential(nn.Linear(2, 3), nn.LayerNorm(3))", "nn.Bilinear(2, 2, 1)", "nn.Module()", "torch.jit",
)  # fmt: skip
DATA = (
    *NONSENSE, "()", "[()]", "[None]", "[x, None]", "(x[:0], y[:0])", "[(x[:0], y[:0])]", "(x * nan, y)", "(x, y * inf)",
    "(x * -inf, y)",
    "(x, y[:7])", "(x[:7], y)", "(x[:, :1], y)", "(y, x)", "(x.long(), y)", "(x.half(), y)", "(x * 1j, y)", "(x.bool(), y)",
    "(x,)", "x[0, 0]",
    "(batch for batch in [(x, y)])", "iter([(x, y)])", "map(len, [x])", "zip(x, y)", "(x.numpy(), y.numpy())", "x.numpy()",
    "x.tolist()",
    "[x.tolist(), y.tolist()]", "{'x': x}", "{0: x}", "{1: y, 2: x}", "[(x, y), (x[:, :1], y)]", "[(x, y), None]",
    "[(x, y), 3]", "[(x, y), ()]",
    "(x.to('meta'), y)", "(x.to_sparse(), y)", "('x', 'y')", "b'bytes'", "Walked()", "Walked(1, 2)", "Walked((x * nan, y))",
    "Walked((x, y), None)",
    "(x[None], y)", "(x, y[None])", "(x.T, y)", "(x, None)", "(None, y)", "(torch.tensor(1.0), y)", "[(x, y), (x * inf, y)]",
    "range(3)", "open",
    "(x, ['a'] * 20)", "((x, y), y)", "(x[..., None], y)", "torch.utils.data.TensorDataset(x, y)", "[[x, y], [x, y], 'z']",
    "{}", "(x * 1e308 * 10, y)",
)  # fmt: skip
FUNCTIONS = (
    "None",
    "3",
    "'text'",
    "object()",
    "[]",
    "torch.zeros(3)",
    "torch.zeros(2, 3)",
    "torch.tensor(nan)",
    "1j",
    "len",
    "lambda: 0",
)
STARTS = (
    *NONSENSE, "torch.zeros(3)", "torch.zeros(2, 3)", "torch.full((6,), nan)", "torch.full((6,), inf)", "torch.zeros(0)",
    "torch.zeros(7)",
    "[0.0] * 6", "net()", "filled(nan)", "nn.Linear(2, 9)", "torch.zeros(6).to('meta')", "'zeros'", "torch.tensor(1.0)",
)  # fmt: skip
SETTINGS = (
    "3",
    "'text'",
    "[1]",
    "{'a': x}",
    "{'a': nn.Tanh}",
    "{'a': {1, 2}}",
    "{'a': b'x'}",
    "{'a': 1j}",
    "{'a': '\\udcff'}",
    "{'a': [object()]}",
)
EXCLUDES = ("3", "None", "[3]", "['nothing']", "['*.bias']", "['[']", "[None]", "[['*']]", "'nothing'", "[b'*']", "x")
MAPPINGS = ("3", "'text'", "[1]", "{'a': 3}", "{'a': None}", "{'a': 'text'}", "[('a', 3)]", "x", "{1: 3}", "{None: None}")


def _returned(part: str, arguments: str, values: tuple[str, ...]) -> SearchStrategy[str]:
    return st.sampled_from(values).map(lambda value: f"def task(): return make({part}=lambda {arguments}: {value})")


def _given(part: str, values: tuple[str, ...]) -> SearchStrategy[str]:
    return st.sampled_from(values).map(lambda value: f"def task(): return make({part}={value})")


def _raising(part: str, arguments: str) -> SearchStrategy[str]:
    """Return tasks one of whose functions raises."""
    wrapped = "{'mine': fails}" if part == "observables" else "fails"
    return RAISED.map(lambda what: f"def fails({arguments}):\n    {what}\ndef task(): return make({part}={wrapped})")


def _raising_method(kind: str, base: str, method: str, use: str) -> SearchStrategy[str]:
    """Return tasks with an object whose method raises."""
    return RAISED.map(
        lambda what: f"class {kind}({base}):\n    def {method}(self, *_, **__):\n        {what}\ndef task(): return make({use})"
    )


BODIES = st.one_of(
    _returned("loss", "m, b", LOSSES),
    _returned("initial", "seed", STARTS),
    _given("model", MODELS),
    _given("loss", ("None", "3", "'mse'", "mse(net(), (x, y))", "nn.MSELoss()", "lambda m: 0", "lambda: 0", "len",
    "dict", "Task")),
    _given("exclude", EXCLUDES),
    _given("settings", SETTINGS),
    _given("observables", MAPPINGS),
    st.sampled_from(("nan", "inf", "'much'", "None", "x", "[]", "1j", "object()")).map(
        lambda value: f"def task(): return make(observables={{'mine': lambda m: {value}}})"
    ),
    _raising("loss", "m, b"),
    _raising("initial", "seed"),
    _raising("predict", "m, b"),
    _raising("labels", "b"),
    _raising("observables", "m"),
    _raising_method("Model", "Fails", "forward", "model=Model()"),
    _raising_method("Model", "Fails", "__deepcopy__", "model=Model()"),
    _raising_method("Model", "Fails", "named_parameters", "model=Model()"),
    _raising_method("Data", "Walked", "__iter__", "data=Data((x, y))"),
    _raising_method("Data", "list", "__len__", "data=Data([(x, y)])"),
    _raising_method("Patterns", "list", "__iter__", "exclude=Patterns(['*'])"),
    RAISED.map(lambda what: f"def task():\n    {what}"),
    st.sampled_from(NONSENSE).map(lambda value: f"def task(): return {value}"),
    st.sampled_from(NONSENSE).map(lambda value: f"task = {value}"),
    WORDS.map(lambda word: f"def task(): return make({''.join(filter(str.isalnum, word)).lower() or 'q'}_q=3)"),
    st.sampled_from(("a", "a, b", "*, a", "a, /")).map(lambda arguments: f"def task({arguments}): return make()"),
)  # fmt: skip
DATA_BODIES = st.one_of(
    _given("data", DATA),
    _given("held_out", DATA),
    st.tuples(st.sampled_from(DATA), st.sampled_from(DATA)).map(
        lambda pair: f"def task(): return make(data=[{pair[0]}, {pair[1]}])"
    ),
    st.tuples(st.sampled_from(DATA), st.sampled_from(DATA)).map(
        lambda pair: f"def task(): return make(data=({pair[0]}, {pair[1]}))"
    ),
    st.tuples(st.sampled_from(DATA), st.sampled_from(DATA)).map(
        lambda pair: f"def task(): return make(data={pair[0]}, held_out={pair[1]})"
    ),
    st.tuples(st.sampled_from(DATA), st.sampled_from(DATA)).map(
        lambda pair: f"def task(): return make(data={{'a': {pair[0]}, 'b': {pair[1]}}})"
    ),
)
TEXTS = st.one_of(
    SYNTAX.map(lambda text: (HEAD + text).encode("utf-8", "surrogatepass")),
    RAISED.map(lambda text: (HEAD + text + "\n").encode()),
    BODIES.map(lambda text: (HEAD + text + "\n").encode()),
    BODIES.map(lambda text: (HEAD + text + "\n").encode()),
    BODIES.map(lambda text: (HEAD + text + "\n").encode()),
    st.binary(min_size=1, max_size=200).map(lambda raw: b"\xff" + raw),
    st.sampled_from(("utf-16", "utf-32")).map(lambda coding: (HEAD + "def task(): return make()\n").encode(coding)),
    st.sampled_from((b"", b"\n", b"#" * 100_000, b"\xef\xbb\xbf", b"PK\x03\x04", b"\x80\x02.", b"\r" * 40)),
)  # fmt: skip


def _good(folder: Path, outcome: Outcome) -> str | None:
    done = (folder / "out" / "result.json").exists()
    return None if done and not outcome.err else "ended well without a result, or with something on standard error"


def case(source: bytes) -> Case:
    """Return the case of a task file; what turns out to be a good task must be mapped."""

    def prepare(folder: Path) -> None:
        (folder / "own.py").write_bytes(source)

    tail = source.removeprefix(HEAD.encode())
    late = b"-mse(" in tail  # that E has no lower bound shows while it is minimised
    return Case(repr(tail[:500]), RUN, prepare, _good, compute=True, late=late)


CASES = TEXTS.map(case)
DATA_CASES = DATA_BODIES.map(lambda text: case((HEAD + text + "\n").encode()))
