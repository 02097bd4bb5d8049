"""Methods against one another: each tuned as much as every other, then judged by fresh seeds."""
