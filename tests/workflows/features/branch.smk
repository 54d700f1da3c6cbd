# Semantic helpers: branch()

rule branch:
    input: "branch/a.txt", "branch/b.txt"
rule branch_write:
    input: branch(lambda wildcards: wildcards.s == "a", then="in/a.txt", otherwise="in/nested/c.txt")
    output: "branch/{s}.txt"
    params: how=branch(evaluate("{s} == 'b'"), then="yes", otherwise="no")
    shell: "cat {input} > {output}; echo {params.how} >> {output}"
