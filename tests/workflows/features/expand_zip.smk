# expand(): zip as the combination, and allow_missing

rule expand_zip:
    input: "expand_zip/all_x.txt"
rule expand_zip_part:
    output: "expand_zip/{a}_{b}_{c}.txt"
    shell: "echo {wildcards} > {output}"
rule expand_zip_all:
    input: expand("expand_zip/{a}_{b}_{c}.txt", zip, a=["1", "2"], b=["3", "4"], allow_missing=True)
    output: "expand_zip/all_{c}.txt"
    shell: "cat {input} > {output}"
