"""Pictures of training and of programs, with matplotlib. Each function returns the axes, and shows nothing by itself.

`loss_curves`, `schedule`, `gradient_norms`, `activations` and `confusion_matrix` take what `funcgrad.train` and NumPy
give; `graph` draws the program of a function with its values and its derivatives.
"""

from funcgrad.plot._charts import activations, confusion_matrix, gradient_norms, loss_curves, schedule
from funcgrad.plot._graph import graph

__all__ = ["activations", "confusion_matrix", "gradient_norms", "graph", "loss_curves", "schedule"]


def __dir__() -> list[str]:
    return __all__
