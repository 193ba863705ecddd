"""What ``distilvo distill`` does, from Python: a student of the shipped teacher, trained on drives with poses.

distilvo render --out streets --streets 20 --frames 100 --size 112 368
python examples/distill_from_python.py streets student
"""

import sys
from pathlib import Path

import distilvo

data, out = map(Path, sys.argv[1:])
teacher, _ = distilvo.load_model(distilvo.SHIPPED_TEACHER)
drives = distilvo.open_cache(distilvo.open_dataset(data), teacher.architecture.preprocessing, out / "cache")
shape = distilvo.shaped_architecture("nano", 92.95, teacher.architecture)
recipe = distilvo.Recipe(epochs=1)
made = distilvo.distill_student(teacher, shape, drives, recipe, out / "checkpoints", method=distilvo.Method())
distilvo.save_model(made.student, out, about={})
errors = distilvo.evaluate(distilvo.network_motions(made.student), drives).total
print(f"On its own training drives: {errors.rms_rpe_t_m:.3f} m, {errors.rms_rpe_r_deg:.3f} deg a frame")
