"""A small GPT-2 with Hugging Face's Trainer and our Adam: python examples/hf_trainer.py

pip install 'descentlab[examples]'. The model is made from a config, so nothing is downloaded; its
language is that of plain_loop.py. Trainer takes the optimizer and its schedule as a pair.
"""

from __future__ import annotations

from tempfile import TemporaryDirectory

from plain_loop import WORDS, entropy, sentences
from torch import Tensor
from torch.optim.lr_scheduler import OneCycleLR
from transformers import GPT2Config, GPT2LMHeadModel, Trainer, TrainingArguments, set_seed

from descentlab.optim import Adam, parameter_groups

STEPS, BATCH = 200, 16


def dataset(seed: int, count: int) -> list[dict[str, Tensor]]:
    """Sentences as Trainer wants them; the model shifts the labels itself."""
    return [{"input_ids": words, "labels": words} for words in sentences(seed, count)]


def new_model() -> GPT2LMHeadModel:
    """One block of width 64, with the same first weights at each call."""
    set_seed(0)
    config = GPT2Config(
        vocab_size=WORDS,
        n_positions=32,
        n_embd=64,
        n_layer=1,
        n_head=2,
        embd_pdrop=0.0,
        attn_pdrop=0.0,
        resid_pdrop=0.0,
        bos_token_id=0,
        eos_token_id=0,
    )
    return GPT2LMHeadModel(config)


def trainer_of(model: GPT2LMHeadModel, folder: str) -> Trainer:
    """What trains it, with an optimizer of ours."""
    optimizer = Adam(parameter_groups(model, weight_decay=0.1), lr=8e-3, beta=0.95)
    schedule = OneCycleLR(optimizer, max_lr=8e-3, total_steps=STEPS + 1, cycle_momentum=False)
    arguments = TrainingArguments(
        output_dir=folder,
        max_steps=STEPS,
        per_device_train_batch_size=BATCH,
        per_device_eval_batch_size=256,
        max_grad_norm=1.0,
        logging_steps=50,
        save_strategy="no",
        report_to="none",
        use_cpu=True,
        disable_tqdm=True,
    )
    return Trainer(
        model=model,
        args=arguments,
        train_dataset=dataset(seed=1, count=STEPS * BATCH),
        eval_dataset=dataset(seed=2, count=4096),
        optimizers=(optimizer, schedule),
    )


if __name__ == "__main__":
    with TemporaryDirectory() as folder:
        trainer = trainer_of(new_model(), folder)
        trainer.train()
        loss = trainer.evaluate()["eval_loss"]
    optimizer = getattr(
        trainer.optimizer, "optimizer", trainer.optimizer
    )  # in accelerate's wrapper
    print(f"after {STEPS} steps of {type(optimizer).__name__}: loss {loss:.3f} on new sentences")
    print(f"entropy of the language: {entropy():.3f}")
