# What the run is for: a table, a figure, and the check that ends it.


rule summary:
    input:
        expand("results/score/{sample}.tsv", sample=SAMPLES),
    output:
        "results/summary.tsv",
    log:
        "logs/summary.log",
    shell:
        "(sed -n 1p {input}; tail -q -n +2 {input}) > {output} 2> {log}"


rule plot:
    input:
        summary="results/summary.tsv",
        coverage=expand("results/coverage/{sample}.tsv", sample=SAMPLES),
        variants=expand("results/compared/{sample}.tsv", sample=SAMPLES),
    output:
        multiext("results/variants", ".png", ".svg"),
    log:
        "logs/plot.log",
    resources:
        mem_mb=800,
    params:
        samples=SAMPLES,
        genes=config["genes"],
    script:
        "../scripts/plot.py"


rule check:
    input:
        "results/summary.tsv",
    output:
        "results/check.txt",
    log:
        "logs/check.log",
    params:
        bounds=config["bounds"],
    script:
        "../scripts/check.py"
