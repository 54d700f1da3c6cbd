# Threads: a number, a function, bounded by the cores

rule threads:
    input: "threads/one.txt", "threads/two.txt"
rule threads_one:
    output: "threads/one.txt"
    threads: 2
    shell: "echo {threads} > {output}"
rule threads_two:
    input: "in/a.txt"
    output: "threads/two.txt"
    threads: lambda wildcards, input: len(input) + 1
    shell: "echo {threads} > {output}"
