# From the reference to trimmed reads.


rule plant:
    input:
        genome=config["genome"],
    output:
        truth="results/truth/{sample}.vcf",
        donor=temp("results/donor/{sample}.fa"),
    log:
        "logs/plant/{sample}.log",
    resources:
        mem_mb=200,
    params:
        seed=config["seed"],
        snps=lookup(dpath="samples/{sample}/snps", within=config),
        indels=lookup(dpath="samples/{sample}/indels", within=config),
        known=lookup(dpath="samples/{sample}/known", within=config, default=[]),
    script:
        "../scripts/plant.py"


rule sequence:
    input:
        donor="results/donor/{sample}.fa",
    output:
        r1="results/reads/{sample}_R1.fastq.gz",
        r2="results/reads/{sample}_R2.fastq.gz",
    log:
        "logs/sequence/{sample}.log",
    resources:
        mem_mb=600,
    params:
        seed=config["seed"],
        depth=lookup(dpath="samples/{sample}/depth", within=config),
        reads=config["reads"],
    script:
        "../scripts/sequence.py"


rule trim:
    input:
        "results/reads/{sample}_R1.fastq.gz",
        "results/reads/{sample}_R2.fastq.gz",
    output:
        temp("results/trimmed/{sample}_R1.fastq.gz"),
        temp("results/trimmed/{sample}_R2.fastq.gz"),
    log:
        "logs/trim/{sample}.log",
    threads: 2
    resources:
        mem_mb=lambda wildcards, attempt: 300 * attempt,
    params:
        quality=config["trim"]["quality"],
        min_length=config["trim"]["min_length"],
    shell:
        "python {workflow.basedir}/scripts/trim.py --quality {params.quality} --min-length {params.min_length}"
        " --threads {threads} --in {input} --out {output} > {log} 2>&1"
