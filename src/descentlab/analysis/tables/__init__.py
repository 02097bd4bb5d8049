"""The paper's tables, and what its figures draw, as frames from any store's runs."""
