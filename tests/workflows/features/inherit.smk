# Rule inheritance: use rule ... as ... with

rule inherit:
    input: "inherit/a.txt", "inherit/b.txt"
rule inherit_base:
    input: "in/a.txt"
    output: "inherit/a.txt"
    params: word="base"
    threads: 2
    shell: "cat {input} > {output}; echo {params.word} {threads} >> {output}"
use rule inherit_base as inherit_other with:
    input: "in/b.txt"
    output: "inherit/b.txt"
    params: word="other"
