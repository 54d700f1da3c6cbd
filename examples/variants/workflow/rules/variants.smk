# From trimmed reads to variants, and how many of them are right.


def trimmed_pair(wildcards):
    return {mate: f"results/trimmed/{wildcards.sample}_{mate.upper()}.fastq.gz" for mate in ("r1", "r2")}


rule index:
    input:
        genome=config["genome"],
    output:
        directory("results/index"),
    log:
        "logs/index.log",
    resources:
        mem_mb=300,
    script:
        "../scripts/index.py"


rule map:
    input:
        unpack(trimmed_pair),
        index="results/index",
    output:
        bam="results/mapped/{sample}.bam",
        bai="results/mapped/{sample}.bam.bai",
    log:
        "logs/map/{sample}.log",
    threads: 2
    resources:
        mem_mb=1000,
    params:
        max_fragment=config["map"]["max_fragment"],
    script:
        "../scripts/map.py"


rule coverage:
    input:
        bam="results/mapped/{sample}.bam",
        bai="results/mapped/{sample}.bam.bai",
    output:
        "results/coverage/{sample}.tsv",
    log:
        "logs/coverage/{sample}.log",
    resources:
        mem_mb=200,
    params:
        window=config["coverage"]["window"],
    script:
        "../scripts/coverage.py"


rule call:
    input:
        bam="results/mapped/{sample}.bam",
        bai="results/mapped/{sample}.bam.bai",
        index="results/index",
    output:
        "results/calls/{sample}.vcf",
    log:
        "logs/call/{sample}.log",
    resources:
        mem_mb=500,
    params:
        limits=config["call"],
    script:
        "../scripts/call.py"


rule compare:
    input:
        truth="results/truth/{sample}.vcf",
        calls="results/calls/{sample}.vcf",
    output:
        variants="results/compared/{sample}.tsv",
        score="results/score/{sample}.tsv",
    log:
        "logs/compare/{sample}.log",
    resources:
        mem_mb=200,
    script:
        "../scripts/compare.py"
