# Scatter and gather

scattergather:
    parts_of_scattergather=3
rule scattergather:
    input: "scattergather/all.txt"
rule scattergather_split:
    output: scatter.parts_of_scattergather("scattergather/{scatteritem}.part")
    shell: "for f in {output}; do basename $f > $f; done"
rule scattergather_each:
    input: "scattergather/{scatteritem}.part"
    output: "scattergather/{scatteritem}.done"
    shell: "cat {input} > {output}"
rule scattergather_all:
    input: gather.parts_of_scattergather("scattergather/{scatteritem}.done")
    output: "scattergather/all.txt"
    shell: "cat {input} > {output}"
