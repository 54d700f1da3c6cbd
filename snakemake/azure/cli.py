"""Command-line options that the fork adds to Snakemake's parser."""


def add_arguments(parser):
    pass


def apply_arguments(args):
    pass
