"""Adam with β1 = β2 in a plain PyTorch loop: python examples/plain_loop.py

It learns a made-up language of 32 words in which every word has a usual follower, which comes nine
times in ten. No model can do better than that language's entropy, which stands beside the loss.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from descentlab.optim import Adam, parameter_groups

WORDS, USUAL = 32, 0.9
STEPS = 300


def sentences(seed: int, count: int = 32, length: int = 32) -> Tensor:
    """Draw sentences of the language, as ids of shape [count, length]."""
    draw = torch.Generator().manual_seed(seed)
    follower = torch.randperm(WORDS, generator=torch.Generator().manual_seed(0))
    words = torch.randint(WORDS, (count, length), generator=draw)
    usual = torch.rand(count, length, generator=draw) < USUAL
    for place in range(1, length):
        before = words[:, place - 1]
        words[:, place] = torch.where(usual[:, place], follower[before], words[:, place])
    return words


def entropy() -> float:
    """The least mean loss that any model can have, in nats a word."""
    other = (1 - USUAL) / WORDS
    likely = USUAL + other
    return -likely * math.log(likely) - (WORDS - 1) * other * math.log(other)


class NextWord(nn.Module):
    """Guesses each word from the one before."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(WORDS, 64)
        self.norm = nn.LayerNorm(64)
        self.head = nn.Linear(64, WORDS)

    def loss(self, words: Tensor) -> Tensor:
        """The mean cross-entropy over all words but the first."""
        logits = self.head(self.norm(self.embedding(words[:, :-1])))
        return nn.functional.cross_entropy(logits.flatten(0, 1), words[:, 1:].flatten())


def new_model() -> NextWord:
    """The same first weights at each call."""
    torch.manual_seed(0)
    return NextWord()


def train(model: NextWord) -> Adam:
    """Train for STEPS steps, with a learning rate that falls to zero along a cosine."""
    # One decay for both averages, the paper's finding; nothing of norms and biases decays.
    optimizer = Adam(parameter_groups(model, weight_decay=0.1), lr=8e-3, beta=0.95)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, STEPS)
    for step in range(STEPS):
        loss = model.loss(sentences(seed=step))
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        schedule.step()
        if step % 100 == 0:
            print(f"step {step:3}: loss {loss.item():.3f}")
    return optimizer


if __name__ == "__main__":
    model = new_model()
    optimizer = train(model)
    loss = model.loss(sentences(seed=STEPS, count=4096)).item()
    print(f"after {STEPS} steps of {type(optimizer).__name__}: loss {loss:.3f} on new sentences")
    print(f"entropy of the language: {entropy():.3f}")
