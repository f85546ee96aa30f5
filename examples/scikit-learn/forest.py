"""Fits a random forest to a generated table, and says how well it does on rows that it has not seen."""

import argparse
import json
import time

import pandas
from sklearn.datasets import make_classification
from sklearn.ensemble import RandomForestClassifier
from sklearn.model_selection import train_test_split


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=6000)
    parser.add_argument("--columns", type=int, default=20)
    parser.add_argument("--trees", type=int, default=100)
    parser.add_argument("--jobs", type=int, default=1, help="threads that grow trees")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", default="metrics.json", help="where the figures are written")
    args = parser.parse_args()

    values, label = make_classification(args.rows, args.columns, n_informative=8, random_state=args.seed)
    table = pandas.DataFrame(values).add_prefix("column_")
    known, unseen, known_label, unseen_label = train_test_split(table, label, random_state=args.seed)
    forest = RandomForestClassifier(args.trees, n_jobs=args.jobs, random_state=args.seed)
    begun = time.monotonic()
    forest.fit(known, known_label)
    seconds = time.monotonic() - begun
    accuracy = forest.score(unseen, unseen_label)
    print(f"{args.trees} trees in {seconds:.2f} s, accuracy {accuracy:.4f}")
    with open(args.out, "w", encoding="utf-8") as file:
        json.dump({"accuracy": accuracy, "trees_per_second": args.trees / seconds}, file)


if __name__ == "__main__":
    main()
