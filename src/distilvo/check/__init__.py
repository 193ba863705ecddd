"""What a source of frames holds, and whether it can be used."""

from distilvo.check.poses import PoseCheck
from distilvo.check.result import CheckResult, Finding
from distilvo.check.run import check, check_source, run_check

__all__ = ["CheckResult", "Finding", "PoseCheck", "check", "check_source", "run_check"]
