# Rules: thirty outputs of one job

rule many_outputs:
    input: expand("many_outputs/{i}.txt", i=range(30))
rule many_outputs_write:
    output: expand("many_outputs/{i}.txt", i=range(30))
    shell: "for f in {output}; do basename $f > $f; done"
