"""What runs can tell, and how surely: one question, one file; every answer is an ``Estimate``.

Losses are in nats per token, so a difference of losses is the logarithm of a ratio of
perplexities. A diverged run has an infinite loss: it ranks worst, and is never left out.
"""
