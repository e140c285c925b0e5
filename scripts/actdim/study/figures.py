"""The table of figures: all that the workflow knows of them, and which of them a study has.

A new figure is an entry here, its program scripts/plot_<name>.py, and its caption report/<name>.rst.
"""

from typing import NamedTuple

from actdim.errors import UserError
from actdim.sweeps import find_sweeps


class Figure(NamedTuple):
    """A figure, of one study or of all."""

    name: str
    title: str  # in the report
    tables: tuple[str, ...]  # that its program reads
    by_default: str = "always"  # or "sweep": if the study has one; or "never"
    needs_sweep: bool = False
    estimators: str = ""  # how the names begin of the estimators that it can show
    all_studies: bool = False

    @property
    def path(self):
        """The path of the figure's files, without their endings."""
        return f"results/figures/{'' if self.all_studies else '{study}/'}{self.name}"

    def estimator_of(self, estimators):
        """Return the first of some estimators that the figure can show; None where it can show none."""
        return next((name for name in estimators if name.startswith(self.estimators)), None)


FIGURES = {
    figure.name: figure
    for figure in (
        Figure("llid", "Last-layer ID", ("summary",), by_default="sweep", needs_sweep=True),
        Figure("pid", "Peak ID", ("summary",), by_default="sweep", needs_sweep=True),
        Figure("pid_over_llid", "Peak ID over last-layer ID", ("summary",), by_default="sweep"),
        Figure("grokking", "Grokking", ("summary", "training"), by_default="never"),
        Figure("id_over_depth", "ID over depth", ("id",)),
        Figure("scale_check", "Scale check", ("id",), estimators="twonn"),
        Figure("predictors", "Predictors of generalization", ("predictors",), all_studies=True),
        Figure("robustness", "Measures by their worst environment", ("generalization",), all_studies=True),
        Figure(
            "sign_errors",
            "Sign errors over environments",
            ("generalization", "generalization_environments"),
            all_studies=True,
        ),
    )
}
OF_A_STUDY = tuple(name for name, figure in FIGURES.items() if not figure.all_studies)

OF_OWN_ACTIVATIONS = tuple(name for name in OF_A_STUDY if "training" not in FIGURES[name].tables)


def figure_files(studies, estimators):
    """Return the files of all figures of studies ({name: Study}) that the estimators suffice for."""
    figures = [(FIGURES[name], study.name) for study in studies.values() for name in study.figures]
    figures += [(figure, None) for figure in FIGURES.values() if figure.all_studies]
    return [
        f"{figure.path.format(study=study)}.{ending}"
        for figure, study in figures
        if figure.estimator_of(estimators)
        for ending in ("svg", "png")
    ]


def choose_figures(wanted, runs, where):
    """Return the names of a study's figures: those that it names, or by default those that its runs suffice for.

    runs: [{setting: value}]. Raises UserError for a figure that needs a sweep where there is none.
    """
    swept = bool(find_sweeps(runs))
    if wanted is None:
        conditions = {"always", "sweep"} if swept else {"always"}
        return [name for name in OF_A_STUDY if FIGURES[name].by_default in conditions]
    if not swept and (missing := [name for name in wanted if FIGURES[name].needs_sweep]):
        needs = "need a setting that takes three values or more in the grid, with all others fixed"
        raise UserError(f"{where}: figures: {', '.join(missing)}: {needs}")
    return wanted
