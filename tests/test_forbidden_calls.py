"""Nothing that runs what a file says: looked for in the package's own syntax trees."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

import quantbench

PACKAGE = Path(quantbench.__file__).parent
MODULES = {"pickle", "dill", "cloudpickle", "marshal", "shelve", "joblib", "pty"}
CALLS = {
    *(
        "eval",
        "exec",
        "compile",
        "__import__",
        "os.system",
        "os.popen",
        "yaml.load",
        "yaml.unsafe_load",
    ),
    *("subprocess.getoutput", "subprocess.getstatusoutput", "os.execv", "os.spawnv"),
    *("torch.load", "numpy.load", "np.load", "torch.hub.load", "pandas.read_pickle"),
}
# What makes a listed call harmless: these arguments, spelled out.
HARMLESS = {"np.load": ("allow_pickle", False), "torch.load": ("weights_only", True)}
NEVER = {"shell": True, "trust_remote_code": True, "allow_pickle": True, "weights_only": False,
         "safe_mode": False}  # fmt: skip


def found(source: str) -> list[str]:
    """What stands in the source that must not."""
    bad = []
    for node in ast.walk(ast.parse(source)):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [node.module or ""]
        bad += [name for name in names if name.partition(".")[0] in MODULES]
        if isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            said = {keyword.arg: keyword.value for keyword in node.keywords}
            constant = {k: v.value for k, v in said.items() if isinstance(v, ast.Constant)}
            argument, value = HARMLESS.get(called, ("", ""))
            if called in CALLS and constant.get(argument) is not value:
                bad.append(called)
            weights = re.search(r"Model\w*\.from_pretrained|Detection\.from_pretrained", called)
            if weights and not {"use_safetensors", "gguf_file"} & set(said):
                bad.append(f"{called} of any format")  # of pickled ones too
            bad += [f"{k}={v}" for k, v in NEVER.items() if k in said and constant.get(k, v) is v]
    return bad


@pytest.mark.parametrize(
    "path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: path.relative_to(PACKAGE).as_posix()
)
def test_no_code_out_of_files(path: Path) -> None:
    assert found(path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    "source",
    [
        *("import pickle", "from pickle import loads", "import marshal as m", "eval(x)"),
        *("exec(x)", "os.system(x)", "subprocess.run(x, shell=True)", "subprocess.run(x, shell=y)"),
        *("torch.load(p)", "torch.load(p, weights_only=False)", "np.load(p)", "yaml.load(p)"),
        *("np.load(p, allow_pickle=True)", "A.from_pretrained(p, trust_remote_code=True)"),
        "keras.saving.load_model(p, safe_mode=False)",
        "AutoModelForCausalLM.from_pretrained(p)",
    ],
)
def test_it_would_be_found(source: str) -> None:
    assert found(source)


@pytest.mark.parametrize(
    "source",
    [
        *("np.load(p, allow_pickle=False)", "torch.load(p, weights_only=True)", "model.eval()"),
        *("A.from_pretrained(p, trust_remote_code=False)", "subprocess.run(x)", "re.compile(x)"),
    ],
)
def test_what_is_harmless_passes(source: str) -> None:
    assert found(source) == []
