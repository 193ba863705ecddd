"""``python -m distilvo``."""

from distilvo.cli import main

main()
