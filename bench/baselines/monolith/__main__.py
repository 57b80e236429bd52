"""``python -m bench.baselines.monolith --port N`` serves the monolith, on the same server as the services."""

import argparse

from bench.baselines.monolith.app import Monolith
from bench.baselines.monolith.settings import Settings
from servicekit import logs
from servicekit.server import serve

if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    settings = Settings().model_copy(update={"http_port": parser.parse_args().port})
    logs.configure(settings, "monolith")
    serve(Monolith(settings).app(), settings)
