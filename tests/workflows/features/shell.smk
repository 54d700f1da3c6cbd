# Rules: input, output, a shell command

rule shell:
    input: "shell/a.txt"
rule shell_copy:
    input: "in/a.txt"
    output: "shell/a.txt"
    shell: "tr a-z A-Z < {input} > {output}"
