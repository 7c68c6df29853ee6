"""The service under load, on this machine's loopback: requests a second, latencies, and what happens beyond capacity.

    python benchmarks/serving.py MODEL FILE [--seconds 60] [--clients 64] [--output serving.json]

MODEL is a tagger on BERT, FILE holds a text a line, or CoNLL columns whose words are joined. Each client sends a text
and, when it has the answer, the next one. The server is a process with one thread for the model, the clients are
another:

    shared      the service as it is
    alone       the service with a batch for each request
    stock       the stock pipeline, on the same encoder, behind the same server, each request by itself
    stock-32    the same with shared batches, which it reads in batches of 32

Then `shared` once more at twice the requests a second that it has answered, sent whether or not there are answers.
"""

import argparse
import asyncio
import json
import random
import statistics
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

SETTINGS = ("shared", "alone", "stock", "stock-32")
QUEUE = 128


def serve(model, setting):
    """Run one of the servers."""
    import torch
    from transformers import BertConfig, BertForTokenClassification, TokenClassificationPipeline

    from modeling_bert_crf.opening.tagger import open_tagger
    from modeling_bert_crf.serving.app import build_app
    from modeling_bert_crf.serving.limits import Limits
    from modeling_bert_crf.serving.server import listen
    from modeling_bert_crf.serving.server import serve as run
    from modeling_bert_crf.serving.taggers import answers_to, steps_of_pipeline

    torch.set_num_threads(1)
    pipe = open_tagger(model, device=torch.device("cpu"))
    tag = answers_to(steps_of_pipeline(pipe))
    if setting.startswith("stock"):
        stock = BertForTokenClassification(BertConfig.from_dict(pipe.model.config.to_dict()))
        stock.bert = pipe.model.base_model  # how fast it is does not depend on what its last layer holds
        plain = TokenClassificationPipeline(
            model=stock.eval(), tokenizer=pipe.tokenizer, aggregation_strategy="simple", device="cpu"
        )
        rows = int(setting.partition("-")[2] or 1)

        def tag(jobs):
            found = iter(plain([text for job in jobs for text in job.texts], batch_size=rows))
            numbers = [
                [[{**one, "score": float(one["score"])} for one in next(found)] for _ in job.texts] for job in jobs
            ]
            return numbers

    limits = Limits(queue=QUEUE, **({} if setting in ("shared", "stock-32") else {"batch_characters": 1}))
    run(build_app("bench", tag, limits), listen("127.0.0.1", 0), 30, lambda place: print(place, flush=True))


class Client:
    """A connection that is kept."""

    async def connect(self, port):
        self.reader, self.writer = await asyncio.open_connection("127.0.0.1", port)
        return self

    async def post(self, text):
        body = json.dumps({"text": text}).encode()
        head = (
            f"POST /tag HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
        )
        self.writer.write(head.encode() + body)
        head = await self.reader.readuntil(b"\r\n\r\n")
        length = next(int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
        await self.reader.readexactly(length)
        return int(head[9:12])


async def closed(port, texts, clients, seconds):
    """Let clients send as fast as they are answered."""
    latencies, statuses, draw = [], Counter(), random.Random(0)
    start = time.perf_counter()
    end = start + seconds

    async def go(client):
        while (began := time.perf_counter()) < end:
            statuses[await client.post(draw.choice(texts))] += 1
            latencies.append(time.perf_counter() - began)

    await asyncio.gather(*[go(await Client().connect(port)) for _ in range(clients)])
    return latencies, statuses, time.perf_counter() - start


async def opened(port, texts, rate, seconds, memory):
    """Send so many requests a second, whether or not they are answered."""
    idle, statuses, draw, sent, tasks, sizes = [], Counter(), random.Random(0), 0, set(), []
    began = time.perf_counter()

    async def go():
        client = idle.pop() if idle else None
        if client is None or client.reader.at_eof():  # the server closes what has been idle for seconds
            client = await Client().connect(port)
        statuses[await client.post(draw.choice(texts))] += 1
        idle.append(client)

    while (now := time.perf_counter() - began) < seconds:
        while sent < now * rate:
            tasks.add(asyncio.create_task(go()))
            sent += 1
        if len(sizes) <= now:
            sizes.append(memory())
        await asyncio.sleep(0.002)
    await asyncio.gather(*tasks)
    return sent, statuses, [*sizes, memory()]


def measure(options, texts, setting, rate=None):
    """Start a server, load it, and return the figures."""
    command = [sys.executable, __file__, options.model, "-", "--serve", setting]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        port = int(process.stdout.readline().rpartition(":")[2])

        def memory():
            status = Path(f"/proc/{process.pid}/status").read_text()
            return int(status.partition("VmRSS:")[2].split()[0]) / 1024  # MiB

        asyncio.run(closed(port, texts, options.clients, min(5, options.seconds)))
        if rate is not None:
            sent, statuses, sizes = asyncio.run(opened(port, texts, rate, options.seconds, memory))
            answered = {str(status): count for status, count in sorted(statuses.items())}
            figures = {"sent": sent, "answers": answered, "lost": sent - sum(statuses.values())}
            return figures | {"memory_mib": [round(size, 1) for size in sizes]}
        latencies, statuses, seconds = asyncio.run(closed(port, texts, options.clients, options.seconds))
        cuts = statistics.quantiles(latencies, n=100)
        figures = {"requests_a_second": round(len(latencies) / seconds, 1)}
        figures |= {f"p{cut}_ms": round(1000 * cuts[cut - 1], 1) for cut in (50, 95, 99)}
        return figures | {"answers": {str(status): count for status, count in sorted(statuses.items())}}
    finally:
        process.terminate()
        process.wait()


def read(path):
    """Read texts, one a line, or of columns."""
    lines = Path(path).read_text(encoding="utf-8").splitlines()
    if Path(path).suffix == ".txt":
        return [line for line in lines if line.strip()]
    sentences = "\n".join(line.split()[0] if line.strip() else "" for line in lines).split("\n\n")
    return [text for text in (" ".join(one.split()) for one in sentences) if text]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("file")
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--clients", type=int, default=64)
    parser.add_argument("--output", type=Path)
    parser.add_argument("--serve", choices=SETTINGS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        serve(options.model, options.serve)
        return
    texts, figures = read(options.file), {}
    for setting in SETTINGS:
        figures[setting] = measure(options, texts, setting)
        print(setting, figures[setting], flush=True)
    rate = 2 * figures["shared"]["requests_a_second"]
    figures["twice"] = {"rate": rate, **measure(options, texts, "shared", rate)}
    print("twice", figures["twice"], flush=True)
    if options.output:
        options.output.write_text(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    main()
