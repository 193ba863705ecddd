"""A teacher that is trained and run in no time, for tests of what is done with one."""

from __future__ import annotations

from dataclasses import replace

from distilvo.models.teacher import DEMO

TINY = replace(
    DEMO,
    convolutions=((4, 5, 2), (6, 3, 2), (8, 3, 2), (10, 3, 2), (12, 3, 1)),
    lstm=(40,),
    fc=(8,),
    branch=4,
    reach=(1, 4),
)
