# directory(): as output, as input, and one inside of another

rule directory:
    input: "directory/list.txt"
rule directory_write:
    output: directory("directory/out")
    shell: "mkdir -p {output}/deep/er; echo 1 > {output}/one; echo 2 > {output}/deep/er/two; : > {output}/empty"
rule directory_list:
    input: "directory/out"
    output: "directory/list.txt"
    shell: "(cd {input}; find . -type f ! -name .snakemake_timestamp | LC_ALL=C sort) > {output}; cat {input}/deep/er/two >> {output}"
