"""``distilvo``, and ``python -m distilvo``: ready for Ctrl-C before the imports that take time."""

try:
    from distilvo import interruption
except KeyboardInterrupt:
    raise SystemExit(130) from None


def main() -> None:
    """Run the command line."""
    interruption.end_at_once()
    from distilvo.commands.main import main as run

    try:
        run()
    finally:
        interruption.end_at_once()  # in the last moments, too


if __name__ == "__main__":
    main()
