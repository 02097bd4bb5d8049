"""The model and data of plain_loop.py in a Lightning module: python examples/lightning_module.py

pip install 'descentlab[examples]'. The optimizer goes into configure_optimizers, as torch's own.
"""

from __future__ import annotations

from typing import Any

import lightning
import torch
from plain_loop import STEPS, entropy, new_model, sentences, train
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from descentlab.optim import Adam, parameter_groups


class Sentences(Dataset[Tensor]):
    """The batches of plain_loop.py, one an item."""

    def __len__(self) -> int:
        return STEPS

    def __getitem__(self, step: int) -> Tensor:
        return sentences(seed=step)


class LanguageModule(lightning.LightningModule):
    """Says how to train; Lightning does."""

    def __init__(self) -> None:
        super().__init__()
        self.model = new_model()

    def training_step(self, words: Tensor, batch_idx: int) -> Tensor:
        return self.model.loss(words)

    def configure_optimizers(self) -> Any:
        optimizer = Adam(parameter_groups(self.model, weight_decay=0.1), lr=8e-3, beta=0.95)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, STEPS)
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": schedule, "interval": "step"},
        }


if __name__ == "__main__":
    module = LanguageModule()
    trainer = lightning.Trainer(
        max_epochs=1,
        gradient_clip_val=1.0,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_model_summary=False,
        enable_progress_bar=False,
    )
    trainer.fit(module, DataLoader(Sentences(), batch_size=None))
    loss = module.model.loss(sentences(seed=STEPS, count=4096)).item()
    (optimizer,) = trainer.optimizers
    print(f"after {STEPS} steps of {type(optimizer).__name__}: loss {loss:.3f} on new sentences")
    print(f"entropy of the language: {entropy():.3f}")

    plain = new_model()
    train(plain)
    pairs = zip(module.model.parameters(), plain.parameters(), strict=True)
    away = max((ours - theirs).abs().max().item() for ours, theirs in pairs)
    print(f"weights are those of the plain loop to {away:.1e}, which is rounding")
