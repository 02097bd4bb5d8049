"""Optimizers with a fault planted into each, and one without, as the source of a module."""

SOURCE = '''
import torch


class Base(torch.optim.Optimizer):
    def __init__(self, params, lr=0.05, weight_decay=0.0):
        super().__init__(params, {"lr": lr, "weight_decay": weight_decay})

    def shrunk(self, group):
        for p in group["params"]:
            if p.grad is not None:
                p.mul_(1 - group["lr"] * group["weight_decay"])
                yield p


class Fine(Base):
    """Signs of gradients."""

    @torch.no_grad()
    def step(self, closure=None):
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for p in self.shrunk(group):
                p.add_(p.grad.sign(), alpha=-group["lr"])
        return loss


class Still(Base):
    """Never steps."""

    def step(self, closure=None):
        return None if closure is None else closure()


class Forgetful(Base):
    """Keeps its momentum where no checkpoint finds it."""

    @torch.no_grad()
    def step(self, closure=None):
        self.kept = getattr(self, "kept", {})
        for group in self.param_groups:
            for p in self.shrunk(group):
                self.kept[p] = 0.9 * self.kept.get(p, 0) + p.grad
                p.add_(self.kept[p], alpha=-group["lr"])


class Greedy(Base):
    """Wants the loss as well."""

    def step(self, loss):
        pass


class Deaf(Base):
    """Steps by the learning rate that it was made with, whatever the schedule says."""

    def __init__(self, params, lr=0.05, weight_decay=0.0):
        super().__init__(params, lr, weight_decay)
        self.first = lr

    @torch.no_grad()
    def step(self, closure=None):
        for group in self.param_groups:
            for p in self.shrunk(group):
                p.add_(p.grad.sign(), alpha=-self.first)


class Averaged(Fine):
    """Trains at one place and is judged at another, as schedule-free optimizers are."""

    heard = []

    def train(self):
        self.heard.append("train")

    def eval(self):
        self.heard.append("eval")
        for group in self.param_groups:
            for p in group["params"]:
                p.data.zero_()
'''
