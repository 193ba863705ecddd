"""``python -m distilvo``."""

from distilvo.commands.main import main

main()
