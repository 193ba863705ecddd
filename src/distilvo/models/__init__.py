"""Teachers, and the students made from them."""

from distilvo.models.student import student
from distilvo.models.teacher import teacher

__all__ = ["student", "teacher"]
