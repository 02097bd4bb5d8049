"""The paper's figures from the runs of any store; ``analysis.figures`` has the charts."""
