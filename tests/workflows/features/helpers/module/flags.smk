outputflags:
    temp
inputflags:
    ancient

rule begin:
    output: "default_flags/begin.txt"
    shell: "echo begin > {output}"

rule end:
    input: "default_flags/begin.txt"
    output: protected("default_flags/end.txt")
    shell: "cat {input} > {output}"
