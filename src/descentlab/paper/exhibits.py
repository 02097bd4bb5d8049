"""The tables and figures of the paper's experiments, as data: what each shows, of which runs.

Figures 6, 7 and from 18 on are of the quadratic and of filters, and need no runs (``computed``).
Numbers are those of the paper's first edition.
"""

from __future__ import annotations

from descentlab.analysis.selection import Selection
from descentlab.errors import ConfigError, nearest
from descentlab.paper import tables
from descentlab.paper.exhibit import Exhibit
from descentlab.paper.figures import betas
from descentlab.paper.figures.one_average import one_average
from descentlab.paper.figures.overview import training_and_tuning
from descentlab.paper.figures.softened import mollifiers
from descentlab.paper.figures.starts import starts
from descentlab.paper.published import TABLE1

BATCHES = Selection(methods=("adam",), batch_size="any", tokens="shared")
"""Adam at all batch sizes that share a budget."""

EXHIBITS: tuple[Exhibit, ...] = (
    Exhibit(
        name="table1",
        title="Table 1: the methods",
        shows="The held-out perplexity of every method at its best setting.",
        needs="runs of several methods over their grids, in one setting",
        selection=Selection(methods=tuple(TABLE1), tokens="nearest"),
        draw=tables.table1,
        expects=tuple(TABLE1),
    ),
    Exhibit(
        name="table2",
        title="Table 2: the ε of Adam",
        shows="Perplexity by ε, all else at its best.",
        needs="runs of adam that differ in eps alone, with several seeds",
        selection=Selection(methods=("adam",)),
        draw=tables.table2,
    ),
    Exhibit(
        name="table3",
        title="Table 3: the start of the averages",
        shows="Averages that start at zero (ZI) or the first gradient (GI), corrected (BC) or not.",
        needs="runs of adam and signum that differ in init and bias_correction alone",
        selection=Selection(methods=("adam", "signum")),
        draw=tables.table3,
    ),
    Exhibit(
        name="fig1",
        title="Figure 1: training and tuning",
        shows="How each method's best run trains, and what every trial ended with.",
        needs="runs of several methods over their grids, in one setting",
        selection=Selection(methods=tuple(TABLE1), tokens="nearest"),
        draw=training_and_tuning,
        expects=tuple(TABLE1),
    ),
    Exhibit(
        name="fig2",
        title="Figure 2: Signum and Adam",
        shows="Perplexity over learning rate, β1 and β2; β1=β2 beside the rest.",
        needs="adam over both β and learning rates, and signum",
        selection=Selection(methods=("adam", "signum")),
        draw=betas.adam_and_signum,
        expects=("adam", "signum"),
    ),
    Exhibit(
        name="fig3",
        title="Figure 3: equal betas at several batch sizes",
        shows="How much every β2 loses to the best one of its β1.",
        needs="adam over both β and learning rates at several batch sizes with equal tokens",
        selection=BATCHES,
        draw=betas.batch_sizes,
    ),
    Exhibit(
        name="fig4",
        title="Figure 4: Signum softened by a constant",
        shows="Perplexity by a constant in the place of Adam's estimate of the variance.",
        needs="signum with ε > 0, or constant_variance",
        selection=Selection(methods=("adam", "signum", "constant_variance")),
        draw=mollifiers,
    ),
    Exhibit(
        name="fig5",
        title="Figure 5: another model",
        shows="Adam over learning rate, β1 and β2 with a model of another size.",
        needs="adam over both β and learning rates with another model than Table 1",
        selection=Selection(methods=("adam",), model="other", batch_size="any", tokens="nearest"),
        draw=betas.adam_alone,
    ),
    Exhibit(
        name="fig8",
        title="Figure 8: SGD with clipping",
        shows="SGD clipped by norm, by weight decay, and clipped by coordinate too.",
        needs="sgd+Gclip and sgd+Cclip over learning rates and β",
        selection=Selection(methods=("sgd+Gclip", "sgd+Cclip"), tokens="nearest"),
        draw=one_average("SGD with clipping", "sgd+Gclip", "sgd+Cclip"),
        expects=("sgd+Gclip", "sgd+Cclip"),
    ),
    Exhibit(
        name="fig9",
        title="Figure 9: SGD",
        shows="SGD with momentum and without clipping.",
        needs="sgd over learning rates and β",
        selection=Selection(methods=("sgd",), tokens="nearest"),
        draw=one_average("SGD without clipping", "sgd"),
    ),
    Exhibit(
        name="fig10",
        title="Figure 10: RMSprop",
        shows="RMSprop; at β=0 it is the sign of the gradient.",
        needs="rmsprop over learning rates and β",
        selection=Selection(methods=("rmsprop", "signsgd"), tokens="nearest"),
        draw=one_average("RMSprop", "rmsprop"),
    ),
    Exhibit(
        name="fig11",
        title="Figure 11: momentum of signs",
        shows="The average of the gradient's signs, the paper's SignSGD.",
        needs="emasign over learning rates and β",
        selection=Selection(methods=("emasign",), tokens="nearest"),
        draw=one_average("Momentum of signs", "emasign"),
    ),
    Exhibit(
        name="fig12",
        title="Figure 12: shorter sequences",
        shows="Adam and Signum on shorter sequences.",
        needs="adam and signum on shorter sequences than Table 1",
        selection=Selection(
            methods=("adam", "signum"), sequence_length="smaller", tokens="nearest"
        ),
        draw=betas.adam_and_signum,
        expects=("adam", "signum"),
    ),
    Exhibit(
        name="fig13",
        title="Figure 13: the main batch size, with the budget of the others",
        shows="Adam over learning rate, β1 and β2.",
        needs="adam over both β and learning rates at several batch sizes with equal tokens",
        selection=BATCHES,
        draw=betas.one_batch_size("same"),
    ),
    Exhibit(
        name="fig14",
        title="Figure 14: a larger batch size",
        shows="Adam over learning rate, β1 and β2.",
        needs="adam over both β and learning rates at several batch sizes with equal tokens",
        selection=BATCHES,
        draw=betas.one_batch_size("larger"),
    ),
    Exhibit(
        name="fig15",
        title="Figure 15: a smaller batch size",
        shows="Adam over learning rate, β1 and β2.",
        needs="adam over both β and learning rates at several batch sizes with equal tokens",
        selection=BATCHES,
        draw=betas.one_batch_size("smaller"),
    ),
    Exhibit(
        name="fig16",
        title="Figure 16: another text",
        shows="Adam and Signum on another text; in the paper FineWeb, without weight decay.",
        needs="adam and signum on another text than Table 1",
        selection=Selection(methods=("adam", "signum"), dataset="other", tokens="nearest"),
        draw=betas.adam_and_signum,
        expects=("adam", "signum"),
    ),
    Exhibit(
        name="fig17",
        title="Figure 17: the start of the averages, in training",
        shows="Training curves by the start of the averages and its correction.",
        needs="runs of adam or signum that differ in init and bias_correction alone",
        selection=Selection(methods=("adam", "signum")),
        draw=starts,
    ),
    Exhibit(
        name="longer",
        title="Twice the tokens",
        shows="Adam over learning rate, β1 and β2 on a larger budget than Table 1's.",
        needs="adam over both β and learning rates on more tokens than Table 1",
        selection=Selection(methods=("adam",), tokens="larger"),
        draw=betas.adam_alone,
    ),
)
"""In the order of the paper; the last is of its second edition."""


def chosen(name: str) -> list[Exhibit]:
    """The table or figure of a name that is drawn from runs, or all of them.

    Raises:
        ConfigError: for an unknown name, with the nearest that there is.
    """
    if name == "all":
        return list(EXHIBITS)
    for each in EXHIBITS:
        if each.name == name.replace("fig0", "fig"):
            return [each]
    raise ConfigError(
        f"{name}: no table or figure of the paper; "
        f"{nearest(name, ['all', *(each.name for each in EXHIBITS)])}"
    )
