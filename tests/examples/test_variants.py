"""The example workflow run whole: its results against the planted truth, and runs that must fail."""

import struct

import yaml

from .conftest import EXAMPLE

CONFIG = yaml.safe_load((EXAMPLE / "config" / "config.yaml").read_text())
SAMPLES = CONFIG["samples"]


def test_calls_match_the_planted_variants(finished):
    """Counted here from the VCF files, and not by the workflow's own comparison."""
    summary = {row["sample"]: row for row in finished.table("results/summary.tsv")}
    assert list(summary) == list(SAMPLES)
    for sample, settings in SAMPLES.items():
        planted = finished.variants(f"results/truth/{sample}.vcf")
        called = finished.variants(f"results/calls/{sample}.vcf")
        assert len(planted) == settings["snps"] + settings["indels"] + len(settings.get("known", []))
        assert {tuple(v) for v in settings.get("known", [])} <= planted & called
        found = len(planted & called)
        assert found / len(planted) >= CONFIG["bounds"]["recall"]
        assert found / len(called) >= CONFIG["bounds"]["precision"]
        row = summary[sample]
        assert (int(row["planted"]), int(row["found"])) == (len(planted), found)
        assert (int(row["missed"]), int(row["false"])) == (len(planted) - found, len(called) - found)
        assert row["recall"] == f"{found / len(planted):.4f}"


def test_variants_of_all_kinds_are_planted_and_samples_differ(finished):
    truths = [finished.variants(f"results/truth/{sample}.vcf") for sample in SAMPLES]
    for truth in truths:
        lengths = {len(alt) - len(ref) for _, ref, alt in truth}
        assert 0 in lengths
        assert min(lengths) < -1
        assert max(lengths) > 1
    for i, truth in enumerate(truths):
        assert all(not truth & other for other in truths[:i])


def test_depth_is_as_configured(finished):
    for sample, settings in SAMPLES.items():
        depths = [float(row["depth"]) for row in finished.table(f"results/coverage/{sample}.tsv")]
        mean = sum(depths) / len(depths)
        assert 0.75 * settings["depth"] < mean < settings["depth"]


def test_figure_logs_and_temporary_files(finished):
    png = (finished.directory / "results/variants.png").read_bytes()
    assert png.startswith(b"\x89PNG\r\n\x1a\n")
    assert min(struct.unpack(">II", png[16:24])) > 1000
    svg = (finished.directory / "results/variants.svg").read_text()
    assert "<svg" in svg
    index = {p.name for p in (finished.directory / "results/index").iterdir()}
    assert {"genome.fa", "genome.fa.bwt", "genome.fa.fai", "genome.dict"} <= index
    assert not list((finished.directory / "results").glob("donor/*.fa"))
    assert not list((finished.directory / "results").glob("trimmed/*.gz"))
    for sample in SAMPLES:
        assert "reads mapped" in (finished.directory / f"logs/map/{sample}.log").read_text()


def test_nothing_is_left_to_do(finished):
    again = finished.run("--dry-run")
    assert again.returncode == 0, again.stdout
    assert "Nothing to be done" in again.stdout


def test_the_same_seed_gives_the_same_variants(spoilable):
    before = spoilable.variants("results/truth/lysate_7x.vcf")
    again = spoilable.run("--forcerun", "plant", "--until", "plant")
    assert again.returncode == 0, again.stdout
    assert spoilable.variants("results/truth/lysate_7x.vcf") == before


def test_a_bound_that_is_not_met_fails_the_run(spoilable):
    run = spoilable.run("--config", "bounds={recall: 1.1}")
    assert run.returncode == 1, run.stdout
    assert "The calls do not match the planted variants: cI857_Sam7: recall" in run.stdout
    assert not (spoilable.directory / "results/check.txt").exists()


def test_a_changed_truth_fails_the_run(spoilable):
    truth = spoilable.directory / "results/truth/lysate_40x.vcf"
    header = [line for line in truth.read_text().splitlines() if line.startswith("#")]
    moved = [
        f"NC_001416.1\t{pos + 10}\t.\t{ref}\t{alt}\t.\tPASS\t."
        for pos, ref, alt in sorted(spoilable.variants("results/truth/lysate_40x.vcf"))
    ]
    truth.write_text("\n".join([*header, *moved, ""]))
    run = spoilable.run()
    assert run.returncode == 1, run.stdout
    assert "lysate_40x: recall 0.0000" in run.stdout
    assert "lysate_40x: precision 0.0000" in run.stdout
    assert "lysate_20x:" not in run.stdout.split("The calls do not match")[1].splitlines()[0]


def test_a_reference_without_the_bases_of_the_known_mutations_fails_the_run(spoilable):
    genome = spoilable.directory / "data/NC_001416.1.fa"
    header, *lines = genome.read_text().splitlines()
    backwards = "".join(lines)[::-1]
    lines = [backwards[i : i + 70] for i in range(0, len(backwards), 70)]
    genome.write_text("\n".join([header, *lines, ""]))
    run = spoilable.run("--until", "plant")
    assert run.returncode == 1, run.stdout
    assert "The reference does not have C at 37589." in run.stdout
