"""`python -m board`: serve; `migrate`; `rebuild`; `report`."""

import gc
import sys


def main() -> None:
    """Serve, or run a command. The imports are here because a serving process needs no command line parser, which
    would be a tenth of its start.
    """
    if len(sys.argv) > 1:
        from board.commands.app import app

        app()
        return
    gc.disable()  # until all modules are imported (see `serve`): it would take a quarter of the start
    from tocsin.runtime.process.serve import serve

    from board.service import build
    from board.settings import Settings

    serve("board", Settings, build)


if __name__ == "__main__":
    main()
