"""python -m itoolwire STAGE, a worker of one stage; python -m itoolwire publish FILE..., which starts a run."""

import argparse
import asyncio
import os
import signal
import ssl

from . import publish, store
from .broker import Broker
from .worker import Worker


# How to log in at the broker, as `itool work` has it; the environment has them as ITOOL_NATS_USER and so on.
# A password stands in ITOOL_NATS_PASSWORD alone.
CONNECTION = {
    "user": "with ITOOL_NATS_PASSWORD in the environment",
    "inbox": "where answers arrive: _INBOX_NAME.>, for a user who may read only those",
    "creds": "file with a JWT and its key",
    "ca": "authority of the broker's certificates",
}


def login(args):
    """The options of the connection to the broker."""
    options = {}
    if args.user:
        options |= {"user": args.user, "password": os.environ.get("ITOOL_NATS_PASSWORD", "")}
    if args.inbox:
        options["inbox_prefix"] = f"_INBOX_{args.inbox}".encode()
    if args.creds:
        options["user_credentials"] = args.creds
    if args.ca:
        options["tls"] = ssl.create_default_context(cafile=args.ca)
    return options


def stage(args):
    if args.stage == "filter":
        from .filter import Filter
        return Filter()
    from .training import Update, Warmup  # PyTorch, which filter does not need
    if args.threads:
        import torch
        torch.set_num_threads(args.threads)
    return {"update": Update, "warmup": Warmup}[args.stage](args.cache, args.device, args.recompute)


def arguments():
    p = argparse.ArgumentParser(prog="python -m itoolwire", description="stages of itool's runs in Python")
    sub = p.add_subparsers(dest="stage", required=True)
    for name in ("filter", "warmup", "update"):
        s = sub.add_parser(name, help=f"a worker of {name}")
        s.add_argument("--run", help="serve this run only")
        s.add_argument("--cache", default=os.path.expanduser("~/.cache/itoolwire"), help="folder for models")
        s.add_argument("--device", default="cpu", help="of PyTorch, such as cuda")
        s.add_argument("--threads", type=int, default=0, help="of PyTorch; 0: as many as it takes by itself. "
                       "The bytes of a result may depend on it")
        s.add_argument("--recompute", action="store_true", help="compute activations again instead of keeping them: "
                       "less memory, a third more time")
    s = sub.add_parser("publish", help="start a run")
    s.add_argument("files", nargs="+", help="datasets, a row of JSON a line")
    s.add_argument("--name", required=True)
    s.add_argument("--base", required=True, help="folder of the base model in Hugging Face format")
    s.add_argument("--format", default="openai", help="of the rows: toolace, openai, bfcl, …")
    s.add_argument("--seed", type=int, default=1)
    s.add_argument("--set", action="append", default=[], help="section.key=value")
    for s in sub.choices.values():
        for name, text in CONNECTION.items():
            s.add_argument("--" + name, default=os.environ.get("ITOOL_NATS_" + name.upper()), help=text)
        s.add_argument("--broker", default=os.environ.get("ITOOL_BROKER"), help="nats://[TOKEN@]HOST:PORT")
        s.add_argument("--store", default=os.environ.get("ITOOL_STORE"), help="disk:PATH or minio://HOST:PORT/BUCKET")
    args = p.parse_args()
    if not args.broker or not args.store:
        p.error("give --broker and --store, or ITOOL_BROKER and ITOOL_STORE")
    return args


async def work(args):
    broker = await Broker.connect(args.broker, name="itoolwire " + args.stage, **login(args))
    w = Worker(broker, store.open_store(args.store), stage(args), f"python-{args.stage}/1", args.run)
    for s in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(s, w.stopping.set)
    try:
        await w.run()
    finally:
        await broker.nc.close()
    if w.abandoned:
        os._exit(0)  # Python would wait for the thread


def main():
    args = arguments()
    asyncio.run(publish.main(args, login(args)) if args.stage == "publish" else work(args))


main()
