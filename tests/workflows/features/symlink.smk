# Output that is a link to an input

rule symlink:
    input: "symlink/use.txt"
rule symlink_make:
    input: "in/a.txt"
    output: "symlink/link.txt"
    shell: "ln -s $(realpath {input}) {output}"
rule symlink_use:
    input: "symlink/link.txt"
    output: "symlink/use.txt"
    shell: "cat {input} > {output}"
