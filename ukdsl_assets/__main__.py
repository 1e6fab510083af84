"""`python -m ukdsl_assets` is `ukdsl`."""

from ukdsl_assets.cli.app import main

if __name__ == "__main__":
    main()
