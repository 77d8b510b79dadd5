"""What condensed sets are good for: applications on top of the library, each a function of data and recipes."""

from condensery.applications.architectures import EarlyStopping, Ranking, architecture_search
from condensery.applications.candidates import Candidate, dc_grid, settings, small_grid, usual_space
from condensery.applications.continual import class_incremental
from condensery.applications.privacy import Exposure, membership
from condensery.applications.rehearsal import Distillation, Stage, task_incremental

__all__ = [
    "Candidate", "Distillation", "EarlyStopping", "Exposure", "Ranking", "Stage", "architecture_search",
    "class_incremental", "dc_grid", "membership", "settings", "small_grid", "task_incremental", "usual_space",
]  # fmt: skip
