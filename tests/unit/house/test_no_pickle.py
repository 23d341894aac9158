"""Nothing that we load may execute: no pickle, in whatever dress, in any of our modules."""

import ast

import numpy as np
import pytest
import torch

PICKLES = {"pickle", "cloudpickle", "dill", "joblib", "shelve", "marshal"}


def calls(tree):
    """Dotted name and keywords of each call."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func), {word.arg: ast.unparse(word.value) for word in node.keywords}


def faults(source):
    """What a module does that could run a stranger's code."""
    tree = ast.parse(source)
    found = []
    for node in ast.walk(tree):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import | ast.ImportFrom) else []
        names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        found += [f"imports {name}" for name in names if name.split(".")[0] in PICKLES]
    for name, words in calls(tree):
        if name.endswith("torch.load") and words.get("weights_only") != "True":
            found.append("torch.load without weights_only=True")
        if name in ("np.load", "numpy.load") and words.get("allow_pickle", "False") != "False":
            found.append("np.load with pickle")
        if name in ("eval", "exec", "yaml.load", "pd.read_pickle", "torch.jit.load"):
            found.append(name)
    return found


def test_no_module_of_ours_unpickles(repository):
    modules = [*(repository / "src").rglob("*.py"), *(repository / "benchmarks").rglob("*.py")]
    assert len(modules) > 200
    assert {str(path): told for path in modules if (told := faults(path.read_text(encoding="utf-8")))} == {}


@pytest.mark.parametrize(
    "source",
    [
        "import pickle",
        "from joblib import load",
        "import torch\ntorch.load('x')",
        "import torch\ntorch.load('x', weights_only=False)",
        "np.load('x', allow_pickle=True)",
        "yaml.load(text)",
        "eval(text)",
    ],
)
def test_the_check_finds_what_it_looks_for(source):
    assert faults(source)


class Bomb:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (open, (str(self.path), "w"))


def test_a_poisoned_checkpoint_is_refused(tmp_path):
    from orrery.checkpoints import steps_done
    from orrery.errors import OrreryError

    torch.save({"global_step": 3, "bomb": Bomb(tmp_path / "exploded")}, tmp_path / "last.ckpt")
    with pytest.raises(OrreryError, match=r"last\.ckpt"):
        steps_done(tmp_path / "last.ckpt")
    assert not (tmp_path / "exploded").exists()


def test_poisoned_weights_are_refused(tmp_path, repository):
    import pickle

    from orrery.errors import OrreryError
    from orrery.params import load_params
    from orrery.stages.trained import load_network
    from orrery.systems.base import Workspace, get_section, get_system

    params = load_params(repository / "params.yaml")
    work = Workspace("mars-bands", tmp_path)
    folder = work.model("orrery-bands")
    folder.mkdir(parents=True)
    (folder / "weights.safetensors").write_bytes(pickle.dumps(Bomb(tmp_path / "exploded")))
    with pytest.raises(OrreryError, match=r"weights\.safetensors"):
        load_network(get_system("mars-bands"), get_section(params, "mars-bands"), "orrery-bands", work)
    assert not (tmp_path / "exploded").exists()


def test_numpy_refuses_objects_unless_asked(tmp_path):
    np.save(tmp_path / "shard.npy", np.array([Bomb(tmp_path / "exploded")], dtype=object), allow_pickle=True)
    with pytest.raises(ValueError, match="allow_pickle"):
        np.load(tmp_path / "shard.npy")
    assert not (tmp_path / "exploded").exists()
