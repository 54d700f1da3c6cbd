# ancient()

rule ancient:
    input: "ancient/x.txt"
rule ancient_write:
    input: ancient("in/a.txt")
    output: "ancient/x.txt"
    shell: "cat {input} > {output}"
