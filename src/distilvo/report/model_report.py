"""Models scored on the drives of a data set: a row of the table for each, with its size and latency."""

from __future__ import annotations

from distilvo.models.kinds import AnyArchitecture, count_parameters, distillation_rate
from distilvo.report.results import ModelRow
from distilvo.trajectory.metrics import Errors


def model_row(
    name: str, errors: Errors, network: AnyArchitecture | None, teacher: AnyArchitecture, latency_ms: float = 0.0
) -> ModelRow:
    """A row of the table; with no network, as for the mean motion, there are no parameters and is no time."""
    measures = errors.rms_rpe_t_m, errors.rms_rpe_r_deg, errors.ate_m
    if network is None:
        return ModelRow(name, 0, 100.0, 0.0, *measures)
    return ModelRow(name, count_parameters(network), distillation_rate(network, teacher), latency_ms, *measures)
