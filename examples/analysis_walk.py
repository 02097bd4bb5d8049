"""A walk through the analysis, cell by cell: python examples/analysis_walk.py [STORE]

Editors show each "# %%" as a cell of a notebook. Without a store, a small one is trained first, in
about a minute, under walk/.
"""

# %% A store: yours, or 36 small runs of Adam and Signum
import subprocess
import sys
from pathlib import Path

import numpy as np

if len(sys.argv) > 1:
    store = Path(sys.argv[1])
else:
    store = Path("walk/store")
    study = Path(__file__).with_name("walk_study.toml")
    subprocess.run(
        [sys.executable, "-m", "descentlab", "sweep", str(study), "--store", str(store)],
        check=True,
        stdout=subprocess.DEVNULL,
    )
# %% Every run is a row, and every point of a curve; only runs of one experiment are compared
from descentlab.analysis import load, load_curves

runs = load(store)
done = runs[runs["state"] == "done"]
done = done[done["sweep"] == done["sweep"].mode()[0]]
curves = load_curves(store, done["run"])
print(f"{len(runs)} runs, {len(done)} of them with a result in {done['sweep'].iloc[0]}\n")

# %% The winners: the setting with the best mean over seeds, of each method
from descentlab.analysis.statistics.trials import tuned_optimum

best = {str(method): tuned_optimum(group) for method, group in done.groupby("method")}
first, second, *_ = order = sorted(best, key=lambda method: best[method].losses.mean())
for method in order:
    run = done.set_index("run").loc[best[method].runs[0]]
    perplexity = np.exp(best[method].losses.mean())
    print(f"{method:10} lr {run['lr']:<8g} β {run['beta1']:<6g} perplexity {perplexity:.2f}")

# %% Is the best better than the second, on the same seeds? Few seeds make a wide interval
from descentlab.analysis.statistics.paired import paired_difference

assert best[first].seeds == best[second].seeds
gap = paired_difference(best[first].losses, best[second].losses)
print(f"\n{first} − {second}: {gap.value:.3f} nats [{gap.low:.3f}, {gap.high:.3f}], n = {gap.n}\n")

# %% Does that hold if one may only tune with k trials?
from descentlab.analysis.statistics.best_after import best_after

after = best_after(done[done["method"].isin([first, second])], ks=[1, 2, 4, 6])
print(after.pivot(index="k", columns="method", values="median").round(3), "\n")

# %% Which share of its budget does the better one need for the other's loss?
from descentlab.analysis.statistics.budget_to_match import budget_to_match

share = budget_to_match(done, curves, first=first, second=second).iloc[0]
print(f"{first} needs {share['share']:.2f} [{share['low']:.2f}, {share['high']:.2f}]", end=" ")
print(f"of {second}'s tokens, {share['source']}\n")

# %% What would a sceptical reviewer say?
from descentlab.analysis.audit.kit import audited

evidence, findings = audited(runs)
for finding in findings:
    print(f"{finding.severity}: {finding.what}")
print()

# %% Anything else is a question in SQL
from descentlab.analysis.query import query
from descentlab.runs.store import Store

question = "SELECT method, count(*) AS runs, min(perplexity) AS best FROM runs GROUP BY method"
print(query(Store(store), question).to_string(index=False), "\n")

# %% A picture: final perplexity against learning rate, as SVG and PNG
from descentlab.analysis.figures.learning_rates import perplexity_by_learning_rate
from descentlab.charts import save

trials = done.rename(columns={"beta1": "beta"})[["method", "lr", "beta", "perplexity"]]
out = Path("walk")
out.mkdir(exist_ok=True)
save(perplexity_by_learning_rate(trials, order), out / "learning-rates")
print(f"{out}/learning-rates.svg")
