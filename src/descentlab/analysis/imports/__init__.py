"""Results of others → imported runs of a store, through one gate; nothing of them is executed."""
