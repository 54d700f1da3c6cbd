# touch(): a flag file

rule touch:
    input: "touch/after.txt"
rule touch_flag:
    output: touch("touch/done")
    shell: "true"
rule touch_after:
    input: "touch/done"
    output: "touch/after.txt"
    shell: "wc -c < {input} > {output}"
