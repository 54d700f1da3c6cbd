# Local rules: they run where snakemake runs

localrules: localrules_here
rule localrules:
    input: "localrules/x.txt", "localrules/y.txt"
rule localrules_here:
    input: "in/a.txt"
    output: "localrules/x.txt"
    shell: "cat {input} > {output}"
rule localrules_too:
    input: "localrules/x.txt"
    output: "localrules/y.txt"
    localrule: True
    shell: "cat {input} {input} > {output}"
