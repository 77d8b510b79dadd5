"""What condensed sets are good for: applications on top of the library, each a function of data and recipes."""

from condensery.applications.continual import Stage, class_incremental

__all__ = ["Stage", "class_incremental"]
