"""Who trains on: schedulers that decide which cells of a grid go on, one per file.

A scheduler is a pure state machine: without clock, files or randomness but a given seed. The
same object decides in a live sweep and in a replay of stored curves.
"""
