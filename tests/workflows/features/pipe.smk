# pipe(): output that is read while it is written

rule pipe:
    input: "pipe/out.txt"
rule pipe_write:
    output: pipe("pipe/through.txt")
    shell: "for i in 1 2 3; do echo $i; done > {output}"
rule pipe_read:
    input: "pipe/through.txt"
    output: "pipe/out.txt"
    shell: "cat {input} > {output}"
