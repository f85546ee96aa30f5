"""Captions generated pictures in batches, and says how many it does in a second."""

import argparse
import json
import time

import captioner
import torch

try:
    from stackyard_task import report  # phases and step times; outside Stackyard nothing needs it
except ImportError:
    report = None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", required=True, help="what train.py wrote")
    parser.add_argument("--pictures", type=int, default=2000)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--seed", type=int, default=2)
    parser.add_argument("--out", default="metrics.json", help="where the figures are written")
    args = parser.parse_args()

    model = captioner.load(args.model)
    seen, words = captioner.pictures(args.pictures, args.seed)
    batches, found = seen.split(args.batch), []
    if report:
        report.phase("steady")
    begun = time.monotonic()
    with torch.no_grad():
        for batch in report.steps(batches) if report else batches:
            found.append(model(batch).argmax(2))
    seconds = time.monotonic() - begun
    if report:
        report.phase("finish")
    right = (torch.cat(found) == words).all(dim=1).float().mean().item()
    print("a " + " ".join(captioner.WORDS[word] for word in found[0][0]))
    with open(args.out, "w", encoding="utf-8") as file:
        json.dump({"captions_right": right, "images_per_second": len(seen) / seconds}, file)


if __name__ == "__main__":
    main()
