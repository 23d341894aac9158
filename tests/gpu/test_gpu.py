"""On a GPU networks compute what they compute on the processor, learn in half precision, and serve as registered models."""

import pytest
import torch

from benchmarks.bench_gpu import batch_of
from orrery.devices import best_device, lent
from orrery.params import load_params
from orrery.systems.base import get_section, get_system

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU"),
]
ROWS = 4
TENSOR_CORES = 2e-2  # relative: convolutions round factors to ten bits (TF32)
HALF = 5e-2  # the loss in bf16, of eight bits
VARIANTS = [
    (system, variant)
    for system in load_params().systems
    for variant in get_section(load_params(), system).variants
]
LEARNING = [
    ("lunar-dtm", "orrery-dtm"),
    ("lunar-dtm", "dlunardtmnet"),
    ("mars-bands", "orrery-bands"),
    ("mars-bands", "unet-efficientnet-b0"),
    ("kaguya-disparity", "orrery-disparity"),
    ("kaguya-disparity", "palette"),
    ("kaguya-disparity", "igev"),
    ("kaguya-disparity", "subpixel-igev"),
]


@pytest.mark.parametrize(("system", "variant"), VARIANTS)
def test_networks_compute_the_same(system, variant):
    owner, section = get_system(system), get_section(load_params(), system)
    torch.manual_seed(1)
    network, example = owner.network(section, variant).eval(), owner.example(section, variant)
    inputs = torch.randn(example.shape)
    with torch.inference_mode():
        wanted = network(inputs)
        with lent(network, best_device()):
            got = network(inputs)
    assert got.device.type == "cpu"
    assert next(network.parameters()).device.type == "cpu"
    assert (got - wanted).norm() <= TENSOR_CORES * wanted.norm()


@pytest.mark.parametrize(("system", "variant"), LEARNING)
def test_a_step_in_half_precision_is_close(system, variant):
    owner, section = get_system(system), get_section(load_params(), system)
    torch.manual_seed(1)
    task, example = owner.task(section, variant).train(), owner.example(section, variant)
    batch = batch_of(owner, section, variant, ROWS, *example.shape[-2:])
    alone = task.training_step(batch, 0)
    task.cuda()
    with torch.autocast("cuda", torch.bfloat16):
        loss = task.training_step({name: rows.cuda() for name, rows in batch.items()}, 0)
    loss.backward()
    if variant != "palette":  # which draws other noise there
        assert abs(float(loss) - float(alone)) <= HALF * abs(float(alone))
    gradients = [part.grad for part in task.net.parameters() if part.grad is not None]
    assert gradients
    assert all(gradient.isfinite().all() for gradient in gradients)


def test_a_registered_model_takes_and_gives_what_lies_in_memory(tmp_path):
    export = pytest.importorskip("orrery.tracking.export")
    owner, section = get_system("lunar-dtm"), get_section(load_params(), "lunar-dtm")
    network = owner.network(section, "orrery-dtm").eval()
    example = owner.example(section, "orrery-dtm")
    export.export(network, example, tmp_path / "model")
    loaded = export.load_export(tmp_path / "model", torch.device("cuda"))
    with torch.inference_mode():
        wanted, got = network(example), loaded(example)
    assert got.device == example.device
    assert (got - wanted).norm() <= TENSOR_CORES * wanted.norm()
