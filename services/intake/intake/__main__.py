"""`python -m intake`: serve; `migrate`; `republish --since T`; `keys`; `mail`; `hooks`."""

import gc
import sys


def main() -> None:
    """Serve, or run a command. The imports are here because a serving process needs no command line parser, which
    would be a tenth of its start.
    """
    if len(sys.argv) > 1:
        from intake.commands.app import app

        app()
        return
    gc.disable()  # until all modules are imported (see `serve`): it would take a quarter of the start
    from tocsin.runtime.process.serve import serve

    from intake.service import build
    from intake.settings import Settings

    serve("intake", Settings, build)


if __name__ == "__main__":
    main()
