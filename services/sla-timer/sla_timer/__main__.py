"""`python -m sla_timer`: serve; `simulate`; `migrate`; `republish --since T`."""

import gc
import sys


def main() -> None:
    """Serve, or run a command. The imports are here because a serving process needs no command line parser, which
    would be a tenth of its start.
    """
    if len(sys.argv) > 1:
        from sla_timer.commands.app import app

        app()
        return
    gc.disable()  # until all modules are imported (see `serve`): it would take a quarter of the start
    from tocsin.runtime.process.serve import serve

    from sla_timer.service import build
    from sla_timer.settings import Settings

    serve("sla_timer", Settings, build)


if __name__ == "__main__":
    main()
