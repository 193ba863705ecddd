"""Checks of a source of frames: what it holds, and whether it can be used."""

from distilvo.check.check_result import CheckFinding, CheckResult
from distilvo.check.pose_check import PoseCheck
from distilvo.check.source_check import check, check_source

__all__ = ["CheckFinding", "CheckResult", "PoseCheck", "check", "check_source"]
