# Groups: temp(..., group_jobs=True), files that never leave the node

rule nodelocal:
    input: "nodelocal/b.txt"
rule nodelocal_a:
    output: temp("nodelocal/a.txt", group_jobs=True)
    shell: "echo a > {output}"
rule nodelocal_b:
    input: "nodelocal/a.txt"
    output: "nodelocal/b.txt"
    shell: "cat {input} > {output}"
