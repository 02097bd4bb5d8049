"""Loggers: what a run puts on record, passed on to W&B or TensorBoard as it trains."""
