"""Claims about runs: evidence at a scale → a test → a verdict, each claim with what it needs."""
