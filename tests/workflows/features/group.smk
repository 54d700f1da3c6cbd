# Groups: jobs that run as one task

rule group:
    input: "group/b.txt"
rule group_a:
    output: temp("group/a.txt")
    group: "group_one"
    shell: "echo a > {output}"
rule group_b:
    input: "group/a.txt"
    output: "group/b.txt"
    group: "group_one"
    shell: "cat {input} > {output}; echo b >> {output}"
