"""The live view: a page on a store that changes with it. Reads only."""
