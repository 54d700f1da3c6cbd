# Empty output

rule empty_file:
    input: "empty_file/use.txt"
rule empty_file_make:
    output: "empty_file/none.txt"
    shell: ": > {output}"
rule empty_file_use:
    input: "empty_file/none.txt"
    output: "empty_file/use.txt"
    shell: "wc -c < {input} > {output}"
