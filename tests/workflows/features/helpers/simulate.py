from pathlib import Path

word = Path(snakemake.input[0]).read_text().strip()
values = snakemake.params.simulation
Path(snakemake.output[0]).write_text(
    "".join(f"{name}={value!s} ({type(value).__name__}) {word}\n" for name, value in sorted(values.items()))
)
