"""`python -m benchmarks`: all that needs no data; `python -m benchmarks NAME ...` for one of
them.
"""

import argparse
from pathlib import Path

from benchmarks import (
    bulk,
    circle,
    conditions,
    detecting,
    files,
    fuzz,
    in_a_row,
    instances,
    instructions,
    machines,
    moving,
    others,
    poison,
    promotions,
    reading,
    resilience,
    retraining,
    rows,
    scaling,
    score,
    serving,
    startup,
    store,
    strings,
)


def main() -> None:
    """Run what the command line names."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    commands = parser.add_subparsers(metavar="NAME")
    under_load = commands.add_parser("serving", help=serving.__doc__)
    under_load.add_argument(
        "checkout", type=Path, nargs="*", help="another checkout, to compare with this one instead"
    )
    under_load.set_defaults(run=lambda options: serving.main(options.checkout))
    commands.add_parser("startup", help=startup.__doc__).set_defaults(run=lambda _: startup.main())
    commands.add_parser("reading", help=reading.__doc__).set_defaults(run=lambda _: reading.main())
    commands.add_parser("bulk", help=bulk.__doc__).set_defaults(run=lambda _: bulk.main())
    scoring = commands.add_parser("score", help=score.__doc__)
    scoring.add_argument("--data", type=Path, help="where MNIST lies; drawn digits without it")
    how_many = scoring.add_mutually_exclusive_group()
    how_many.add_argument(
        "--images", type=int, default=score.IMAGES, help="how many; %(default)s by default"
    )
    how_many.add_argument(
        "--million", dest="images", action="store_const", const=score.MILLION, help="a million"
    )
    scoring.add_argument("--rounds", type=int, default=score.ROUNDS, help="%(default)s by default")
    scoring.set_defaults(
        run=lambda options: score.main(options.data, options.images, options.rounds)
    )
    commands.add_parser("scaling", help=scaling.__doc__).set_defaults(run=lambda _: scaling.main())
    learning = commands.add_parser("circle", help=circle.__doc__)
    learning.add_argument("data", type=Path, help="where MNIST lies, as for train_mnist.py")
    learning.add_argument(
        "--hands",
        type=int,
        default=len(circle.HANDS),
        metavar="N",
        help="only the first N of the hands",
    )
    learning.add_argument(
        "--counts",
        type=int,
        nargs="+",
        choices=range(1, circle.LABELS + 1),
        default=circle.COUNTS,
        metavar="N",
        help=f"so many labels of each, at most {circle.LABELS}; {circle.COUNTS} by default",
    )
    learning.add_argument(
        "--ordinary",
        type=int,
        choices=range(21),
        default=20,
        metavar="N",
        help="real circles without gain; %(default)s by default",
    )
    learning.add_argument(
        "--checkpoint", type=Path, metavar="FILE", help="keeps each row, to go on from"
    )
    instead = learning.add_mutually_exclusive_group()
    instead.add_argument(
        "--poison", choices=poison.WAYS, help="what one way of wrong labels comes to, instead"
    )
    instead.add_argument(
        "--row", type=int, metavar="N", help="N retrainings in a row, instead, such as 30"
    )
    instead.add_argument(
        "--time", action="store_true", help="what a retraining takes of time and memory, instead"
    )
    learning.add_argument(
        "--minutes", type=float, metavar="M", help="begin no retraining of a row that ends later"
    )
    learning.set_defaults(run=_learn)
    finding = commands.add_parser("detecting", help=detecting.__doc__)
    finding.add_argument("mnist", type=Path, metavar="MNIST", help="folder with MNIST's four files")
    finding.add_argument(
        "folders",
        type=Path,
        nargs="+",
        metavar="FOLDER",
        help="labelled numbers; the last unlearned",
    )
    finding.set_defaults(run=lambda options: detecting.main(options.mnist, options.folders))
    counting = commands.add_parser("instructions", help=instructions.__doc__)
    counting.add_argument("--write", action="store_true", help="store them, to be compared with")
    counting.set_defaults(run=lambda options: instructions.main(write=options.write))
    commands.add_parser("instances", help=instances.__doc__).set_defaults(
        run=lambda _: instances.main()
    )
    keeping = commands.add_parser("store", help=store.__doc__)
    keeping.add_argument("--rounds", type=int, default=store.ROUNDS, help="%(default)s by default")
    keeping.set_defaults(run=lambda options: store.main(options.rounds))
    standing = commands.add_parser("resilience", help=resilience.__doc__)
    standing.add_argument(
        "only", nargs="*", metavar="WORD", help="take only steps whose name has one of these"
    )
    standing.set_defaults(run=lambda options: resilience.main(options.only))
    trying = commands.add_parser("fuzz", help=fuzz.__doc__)
    trying.add_argument(
        "--minutes", type=float, default=1.0, help="of each; %(default)s by default"
    )
    trying.add_argument("only", nargs="*", metavar="WORD", help="only ways whose name has one")
    trying.set_defaults(run=lambda options: fuzz.main(options.minutes, options.only))
    commands.add_parser("promotions", help=promotions.__doc__).set_defaults(
        run=lambda _: promotions.main()
    )
    many = commands.add_parser("rows", help=rows.__doc__)
    many.add_argument(
        "--count", type=int, default=rows.ROWS, help="how many submissions; %(default)s by default"
    )
    many.set_defaults(run=lambda options: rows.main(options.count))
    away = commands.add_parser("moving", help=moving.__doc__)
    away.add_argument(
        "--count", type=int, default=rows.ROWS, help="how many submissions; %(default)s by default"
    )
    away.set_defaults(run=lambda options: moving.main(options.count))
    installing = commands.add_parser("machines", help=machines.__doc__)
    installing.add_argument("folder", type=Path, metavar="FOLDER", help="where the trees are made")
    installing.add_argument(
        "--certificates", type=Path, metavar="FILE", help="that pip is to trust in the trees"
    )
    installing.set_defaults(run=lambda options: machines.main(options.folder, options.certificates))
    sending = commands.add_parser("files", help=files.__doc__)
    sending.add_argument("folder", type=Path, nargs="?", help="with more files to send")
    sending.set_defaults(run=lambda options: files.main(options.folder))
    making = commands.add_parser("strings", help=strings.__doc__)
    making.add_argument("mnist", type=Path, metavar="MNIST", help="folder with MNIST's four files")
    making.add_argument(
        "folder", type=Path, metavar="FOLDER", help="where the pictures and labels.csv are written"
    )
    making.add_argument(
        "--count", type=int, default=strings.COUNT, help="how many strings; %(default)s by default"
    )
    making.set_defaults(
        run=lambda options: strings.main(options.mnist, options.folder, options.count)
    )
    drawing = commands.add_parser("others", help=others.__doc__)
    drawing.add_argument(
        "folder", type=Path, metavar="FOLDER", help="where the folders are written"
    )
    drawing.add_argument(
        "--count",
        type=int,
        default=others.COUNT,
        help="how many of each kind; %(default)s by default",
    )
    drawing.set_defaults(run=lambda options: others.main(options.folder, options.count))
    changing = commands.add_parser("conditions", help=conditions.__doc__)
    changing.add_argument(
        "folder",
        type=Path,
        metavar="FOLDER",
        help="holds pictures and labels.csv, as evaluate takes it",
    )
    changing.add_argument(
        "target", type=Path, metavar="TARGET", help="where a folder for each condition is written"
    )
    changing.set_defaults(run=lambda options: conditions.main(options.folder, options.target))
    options = parser.parse_args()
    if hasattr(options, "run"):
        options.run(options)
    else:
        serving.main()
        startup.main()
        reading.main()
        bulk.main()
        store.main()


def _learn(options: argparse.Namespace) -> None:
    """The benchmarks of the circle."""
    if options.poison:
        poison.main(options.data, options.poison, options.checkpoint)
    elif options.time:
        retraining.main(options.data)
    elif options.row:
        in_a_row.main(options.data, options.row, options.minutes, options.checkpoint)
    else:
        circle.main(
            options.data, options.hands, options.counts, options.ordinary, options.checkpoint
        )


if __name__ == "__main__":
    main()
