"""The examples, run as a user runs them, held against closed forms and plain loops."""

from __future__ import annotations

import itertools
import json
import math
import os
import re
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"

pytestmark = pytest.mark.slow


def run(*arguments: object, folder: Path) -> str:
    """What Python printed; an import of the examples finds them."""
    path = os.pathsep.join([str(EXAMPLES), *filter(None, sys.path)])
    ended = subprocess.run(
        [sys.executable, *map(str, arguments)],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": path, "HF_HUB_OFFLINE": "1"},
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


def number(pattern: str, text: str) -> float:
    found = re.search(pattern.replace("#", r"(-?[\d.]+(?:e-?\d+)?)"), text)
    assert found is not None, text
    return float(found[1])


def assert_learnt(printed: str) -> None:
    """The loss is the entropy of the language, summed here over all pairs of words."""
    chances = [0.9 * (after == 0) + 0.1 / 32 for after in range(32)]  # word 0 is the usual one
    assert sum(chances) == pytest.approx(1)
    least = -sum(chance * math.log(chance) for chance in chances)
    assert number("entropy of the language: #", printed) == pytest.approx(least, abs=6e-4)
    assert number("of Adam: loss #", printed) == pytest.approx(least, abs=0.03)


def test_the_plain_loop_learns_the_language_to_its_entropy(tmp_path: Path) -> None:
    assert_learnt(run(EXAMPLES / "plain_loop.py", folder=tmp_path))


def test_its_optimizer_is_ours_with_equal_betas(tmp_path: Path) -> None:
    code = (
        "import descentlab.optim, plain_loop, hf_trainer, lightning_module\n"
        "plain_loop.STEPS = 2\n"
        "trainer = hf_trainer.trainer_of(hf_trainer.new_model(), 'out')\n"
        "module = lightning_module.LanguageModule()\n"
        "for optimizer in (\n"
        "    plain_loop.train(plain_loop.new_model()),\n"
        "    trainer.optimizer,\n"
        "    module.configure_optimizers()['optimizer'],\n"
        "):\n"
        "    print(type(optimizer) is descentlab.optim.Adam, *(\n"
        "        (group['betas'], group['weight_decay']) for group in optimizer.param_groups))\n"
    )
    for line in run("-c", code, folder=tmp_path).splitlines()[-3:]:
        assert line == "True ((0.95, 0.95), 0.1) ((0.95, 0.95), 0.0)"


def test_lightning_learns_it_with_the_plain_loops_weights(tmp_path: Path) -> None:
    printed = run(EXAMPLES / "lightning_module.py", folder=tmp_path)
    assert_learnt(printed)
    assert number("weights are those of the plain loop to #", printed) < 1e-5


def test_hugging_faces_trainer_learns_it(tmp_path: Path) -> None:
    assert_learnt(run(EXAMPLES / "hf_trainer.py", folder=tmp_path))


def test_hugging_faces_trainer_leaves_the_weights_of_a_plain_loop(tmp_path: Path) -> None:
    """The same batches in the order that its sampler draws, the same clipping and schedule.

    Trainer divides a sum over 31 guesses of each sentence by its 32 words.
    """
    code = (
        "import torch\n"
        "import hf_trainer\n"
        "hf_trainer.STEPS = 40\n"
        "theirs = hf_trainer.trainer_of(hf_trainer.new_model(), 'out')\n"
        "theirs.train()\n"
        "ours = hf_trainer.trainer_of(hf_trainer.new_model(), 'out')\n"
        "model, optimizer, schedule = ours.model, ours.optimizer, ours.lr_scheduler\n"
        "hf_trainer.set_seed(42)\n"
        "for batch in ours.get_train_dataloader():\n"
        "    logits = model(batch['input_ids']).logits[:, :-1]\n"
        "    labels = batch['labels'][:, 1:]\n"
        "    loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), labels.flatten())\n"
        "    (loss * 31 / 32).backward()\n"
        "    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)\n"
        "    optimizer.step()\n"
        "    schedule.step()\n"
        "    optimizer.zero_grad()\n"
        "pairs = zip(theirs.model.parameters(), model.parameters(), strict=True)\n"
        "print('apart', max((a - b).abs().max().item() for a, b in pairs))\n"
        "first = hf_trainer.new_model().parameters()\n"
        "print('moved', max((a - b).abs().max().item() for a, b in\n"
        "    zip(theirs.model.parameters(), first, strict=True)))\n"
    )
    printed = run("-c", code, folder=tmp_path)
    assert number("moved #", printed) > 0.05
    assert number("apart #", printed) < 1e-5


def test_the_walk_prints_the_winners_that_the_results_on_disk_have(tmp_path: Path) -> None:
    printed = run(EXAMPLES / "analysis_walk.py", folder=tmp_path)
    assert "36 runs, 36 of them with a result in walk" in printed
    losses: dict[tuple[str, float, float], list[float]] = defaultdict(list)
    for path in (tmp_path / "walk/store/runs").iterdir():
        optimizer = json.loads((path / "spec.json").read_text())["settings"]["optimizer"]
        setting = (optimizer["method"], optimizer["lr"], optimizer["beta"])
        losses[setting].append(json.loads((path / "done.json").read_text())["validation_loss"])
    assert {len(each) for each in losses.values()} == {3}
    means = {setting: sum(each) / 3 for setting, each in losses.items()}
    best = {}
    for method, settings in itertools.groupby(sorted(means), key=lambda setting: setting[0]):
        best[method] = min(settings, key=means.__getitem__)
        _, lr, beta = best[method]
        perplexity = f"{math.exp(means[best[method]]):.2f}"
        assert re.search(rf"{method} +lr {lr:g} +β {beta:g} +perplexity {perplexity}\n", printed)
    gap = means[best["adam"]] - means[best["signum"]]
    assert number("adam − signum: # nats", printed) == pytest.approx(gap, abs=6e-4)
    assert "warning: " in printed  # the audit sees that the optima lie on the edges
    assert (tmp_path / "walk/learning-rates.png").stat().st_size > 10_000


def test_the_walk_takes_a_store(tmp_path: Path) -> None:
    """A wrong one is said as every command says it, and nothing is trained instead."""
    ended = subprocess.run(
        [sys.executable, EXAMPLES / "analysis_walk.py", tmp_path / "nowhere"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode != 0
    assert "not a store" in ended.stderr
    assert not (tmp_path / "walk").exists()
